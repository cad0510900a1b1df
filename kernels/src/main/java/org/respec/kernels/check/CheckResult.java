package org.respec.kernels.check;

/**
 * What came of one check.
 *
 * @param name the check's
 * @param outcome whether it passed, failed, or could not be run
 * @param seconds it took, compiling its kernels included
 * @param shareOfTolerance largest share of a tolerance that a comparison used, 1 being all of it; of a failed check up to its failure
 * @param failure what a failed check threw, else null
 */
public record CheckResult(String name, Outcome outcome, double seconds, double shareOfTolerance, RuntimeException failure) {
    /** How a check ended. */
    public enum Outcome {
        PASSED, FAILED, NOT_RUN
    }

    /** Whether it was run and found nothing. */
    public boolean passed() {
        return outcome == Outcome.PASSED;
    }

    /** Why it did not pass, in a line; empty if it did. */
    public String message() {
        return switch (outcome) {
            case PASSED -> "";
            case NOT_RUN -> "not run: the device's context is dead";
            case FAILED -> failure instanceof CheckFailure ? String.valueOf(failure.getMessage()) : failure.toString();
        };
    }
}
