package org.respec.kernels;

/**
 * Tells how long the device works on a stage of what is asked of it, such as a decode step's draft, without waiting in the middle: where
 * operators run behind the caller's back, the host's clock tells only how long asking took. For the thread that calls the operators.
 */
public interface StageClock extends AutoCloseable {
    /** The stage begins: its operators are called next. */
    void begin();

    /** The stage's operators have been called. */
    void end();

    /**
     * Nanoseconds from {@link #begin} to when the last of the stage's operators was done; to be asked after an {@link Ops#pull} or
     * {@link Ops#synchronize} since {@link #end}.
     */
    long nanos();

    @Override
    void close();
}
