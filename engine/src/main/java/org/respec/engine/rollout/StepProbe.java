package org.respec.engine.rollout;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import org.respec.kernels.KvStore;
import org.respec.kernels.Ops;
import org.respec.kernels.Replay;
import org.respec.kernels.RowBatch;

/**
 * Stands between a rollout engine and its operators and watches decode steps from there, since the engine computes through them
 * alone and need not know. It can leave out what is computed (to fill a long context without computing it), and tell how long the host
 * waited and how long each stage of a step took.
 */
final class StepProbe implements InvocationHandler {
    /** Stages of a step, by what begins them. */
    enum Stage {
        DRAFT, VERIFY, SAMPLE, COMMIT
    }

    private final Ops target;
    private final Ops watched;
    private final boolean staged;
    private final Set<KvStore> caches = Collections.newSetFromMap(new IdentityHashMap<>());
    private final long[] nanos = new long[Stage.values().length];
    private long waitNanos;
    private boolean skipping;
    private boolean inStep;
    private Stage stage;
    private long mark;

    /** @param staged whether to wait at the end of every stage, so that its time is its own; a step as a whole then takes longer */
    StepProbe(Ops target, boolean staged) {
        this.target = target;
        this.staged = staged;
        this.watched = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, this);
    }

    /** The operators that the engine is to compute through. */
    Ops ops() {
        return watched;
    }

    /** Whether operators are left out from now on; copies between host and device are not. */
    void skip(boolean skip) {
        skipping = skip;
    }

    /** Every cache that operators were called with. */
    Set<KvStore> caches() {
        return caches;
    }

    void beginStep(Stage first) {
        inStep = true;
        stage = first;
        mark = System.nanoTime();
    }

    void endStep() {
        if (staged) {
            enter(stage);
        }
        inStep = false;
    }

    void clear() {
        Arrays.fill(nanos, 0);
        waitNanos = 0;
    }

    /** Time in a stage since {@link #clear}; only of a staged probe. */
    double seconds(Stage of) {
        return nanos[of.ordinal()] * 1e-9;
    }

    /** Time since {@link #clear} in which the host waited for the device. */
    double waitSeconds() {
        return waitNanos * 1e-9;
    }

    @Override
    public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
        String name = method.getName();
        if (arguments != null) {
            for (Object argument : arguments) {
                if (argument instanceof KvStore kv) {
                    caches.add(kv);
                }
            }
        }
        boolean waits = name.equals("pull") || name.equals("synchronize");
        if (skipping && !waits && !name.equals("push") && !name.equals("close") && method.getReturnType() == void.class) {
            return null;
        }
        if (name.equals("replay")) {
            // Recorded work could not be taken apart.
            return staged ? InvocationHandler.invokeDefault(proxy, method, arguments)
                : new SkippingReplay(target.replay((String) arguments[0]));
        }
        if (staged && inStep && name.equals("sample")) {
            enter(Stage.SAMPLE);
        }
        long begin = System.nanoTime();
        Object returned;
        try {
            returned = method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
        if (inStep && waits) {
            waitNanos += System.nanoTime() - begin;
        }
        if (staged && inStep && name.equals("pull")) {
            // What comes after the results are on the host belongs to the commit, unless it is another pull.
            stage = Stage.SAMPLE;
            enter(Stage.COMMIT);
        } else if (staged && inStep && name.equals("draftSelect")) {
            enter(Stage.VERIFY);
        }
        return returned;
    }

    /** What is left out never ran: to a recorder it would seem to have, and be recorded before its kernels are loaded. */
    private final class SkippingReplay implements Replay {
        private final Replay replay;

        SkippingReplay(Replay replay) {
            this.replay = replay;
        }

        @Override
        public void run(int key, RowBatch batch, KvStore kv, int requests, int rows, Runnable work) {
            if (skipping) {
                work.run();
            } else {
                replay.run(key, batch, kv, requests, rows, work);
            }
        }

        @Override
        public void close() {
            replay.close();
        }
    }

    private void enter(Stage next) {
        target.synchronize();
        long now = System.nanoTime();
        nanos[stage.ordinal()] += now - mark;
        mark = now;
        stage = next;
    }
}
