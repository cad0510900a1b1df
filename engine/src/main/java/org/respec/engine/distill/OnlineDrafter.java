package org.respec.engine.distill;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.respec.bindings.memory.HostArena;
import org.respec.engine.model.Drafter;
import org.respec.engine.rl.AdamW;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/**
 * A drafter that learns beside its use. Updates run on a thread and operators (on a GPU: a stream) of their own, over a private twin of
 * the drafter and a replay buffer that nobody else touches meanwhile; the drafter in use changes only in {@link #takeOver}, which the run
 * calls at fixed points between rollouts, so every bit is the same whatever the threads' timing, or with updates in turn on the run's own
 * thread.
 *
 * <p>Nothing that goes wrong with learning stops a run: an update that fails, comes to numbers that are not finite, or whose weights
 * lose a bit on their way is dropped with an alarm, and one that does not end in time is left behind, and the learner with it. All
 * methods are for the run's thread.
 */
public final class OnlineDrafter implements AutoCloseable {
    /**
     * How updates run.
     *
     * @param overlap false for updates in turn, on the run's thread
     * @param threads of the learner's own operators
     * @param patience seconds that an update beside the run is waited for; one in turn with it ends when it ends
     */
    public record Settings(boolean overlap, int threads, int patience, int unroll, AdamW.Settings optimizer,
                           DraftLearner.Settings learning) {
    }

    /**
     * What lies between learner and run: nothing, but in tests of what goes wrong there.
     *
     * @param operators around the learner's operators
     * @param transit sees published bytes before they are taken over
     */
    public record Wiring(UnaryOperator<Ops> operators, Consumer<MemorySegment> transit) {
        public static Wiring plain() {
            return new Wiring(UnaryOperator.identity(), bytes -> { });
        }
    }

    /**
     * An update that has come to its end.
     *
     * @param report null if the update failed or was left behind
     * @param seconds that the update itself took
     * @param exposedSeconds that the run waited for it, taking over included
     */
    public record Outcome(DraftLearner.Report report, double seconds, double exposedSeconds) {
    }

    private record Result(DraftLearner.Report report, Publication publication) {
    }

    private static final int PLACES = 3;
    private static final String WEIGHTS = "drafter.weights";
    private static final String PREVIOUS_WEIGHTS = "drafter.previous";

    private final Settings settings;
    private final Wiring wiring;
    private final Consumer<String> alarms;
    private final DrafterHealth health;
    private final boolean concurrent;
    private final Ops runOps;
    private final Ops ops;
    private final Drafter drafter;
    private final Drafter twin;
    private final AdamW optimizer;
    private final DraftLearner learner;
    private final HostArena memory = new HostArena("published drafters");
    /** Version counters: of the newest weights learnt, which are not in use yet, or never, if something went wrong. */
    private long version;
    private Publication current;
    /** The last one in use before {@link #current}, or null. */
    private Publication previous;
    /** Room for the two and for what is being published. */
    private final MemorySegment[] slots = new MemorySegment[PLACES];

    private Thread thread;
    private FutureTask<Result> running;
    private long number;
    private Result finished;
    private boolean failed;
    private boolean lost;
    private volatile long ownNanos;
    private long exposedNanos;

    /**
     * @param ops the run's operators
     * @param drafter what the rollout uses; its weights change in {@link #takeOver} and {@link #checkHealth} alone
     * @param alarms take one sentence each
     */
    public OnlineDrafter(Ops ops, Drafter drafter, ReplayBuffer replay, DrafterHealth health, Settings settings, Wiring wiring,
                         Consumer<String> alarms) {
        this.settings = settings;
        this.wiring = wiring;
        this.alarms = alarms;
        this.health = health;
        this.drafter = drafter;
        concurrent = settings.overlap();
        runOps = ops;
        this.ops = wiring.operators().apply(concurrent ? Backends.beside(ops, settings.threads()) : ops);
        // On a GPU the two have streams of their own: what one reads of the other must be there, and stay until it has been read.
        runOps.synchronize();
        twin = drafter.twin(this.ops, concurrent);
        optimizer = new AdamW(this.ops, twin.weights(), settings.optimizer());
        learner = new DraftLearner(this.ops, twin, optimizer, replay, settings.unroll(), settings.learning());
        this.ops.synchronize();
        MemorySegment first = drafter.weights().download();
        for (int i = 0; i < slots.length; i++) {
            slots[i] = memory.allocate(first.byteSize());
        }
        current = Publication.of(0, slots[0].copyFrom(first));
    }

    /** Bytes that published versions of a drafter of so many weights take of the host. */
    public static long publishedBytes(long weights) {
        return PLACES * Float.BYTES * weights;
    }

    /** Updates that went into the drafter in use. */
    public long version() {
        return health.source() == DrafterHealth.Source.PREVIOUS ? previous.version() : current.version();
    }

    /**
     * Begins update {@code update} over the buffer as it is now, which must stay so until {@link #takeOver}. Does nothing after an
     * update was left behind.
     */
    public void launch(long update) {
        if (lost) {
            return;
        }
        if (running != null || finished != null) {
            throw new IllegalStateException("update " + number + " was not taken over before update " + update);
        }
        long start = System.nanoTime();
        number = update;
        failed = false;
        MemorySegment target = free();
        running = new FutureTask<>(() -> learn(update, target));
        if (concurrent) {
            runOps.synchronize();
            twin.embedLike(drafter);
            ops.synchronize();
            thread = Thread.ofPlatform().daemon().name("respec-drafter").start(running);
        } else {
            running.run();
        }
        exposedNanos = System.nanoTime() - start;
    }

    private Result learn(long update, MemorySegment target) {
        long start = System.nanoTime();
        try {
            DraftLearner.Report report = learner.update(update);
            return new Result(report, report.kept() ? seal(version + 1, target) : null);
        } finally {
            ownNanos = System.nanoTime() - start;
        }
    }

    private Publication seal(long number, MemorySegment target) {
        return Publication.of(number, target.copyFrom(twin.weights().download()));
    }

    private MemorySegment free() {
        for (MemorySegment slot : slots) {
            if (slot != current.bytes() && (previous == null || slot != previous.bytes())) {
                return slot;
            }
        }
        throw new IllegalStateException("all drafters' places are taken");
    }

    /** Waits for the update in progress, if there is one, as long as patience lasts. */
    private void await() {
        if (running == null) {
            return;
        }
        long start = System.nanoTime();
        try {
            finished = running.get(settings.patience(), TimeUnit.SECONDS);
            version += finished.publication() == null ? 0 : 1;
        } catch (ExecutionException e) {
            failed = true;
            alarms.accept("the drafter's update " + number + " failed (" + e.getCause() + "): it is dropped, and version " + version()
                + " stays in use.");
        } catch (TimeoutException e) {
            failed = true;
            lost = true;
            thread.interrupt();
            alarms.accept("the drafter's update " + number + " did not end within " + settings.patience()
                + " s: it is left behind, and version " + version() + " stays in use without learning any more.");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while waiting for the drafter's update " + number, e);
        }
        running = null;
        exposedNanos += System.nanoTime() - start;
    }

    /** Ends the update begun last and puts its weights into use, unless something is wrong with them; null if none was begun. */
    public Outcome takeOver() {
        await();
        if (finished == null && !failed) {
            return null;
        }
        long start = System.nanoTime();
        DraftLearner.Report report = failed ? null : finished.report();
        if (report != null && !report.kept()) {
            alarms.accept("the drafter's update " + number + " met a loss or gradient that is not finite: it is dropped, and version "
                + version() + " stays in use.");
        } else if (report != null) {
            wiring.transit().accept(finished.publication().bytes());
            if (finished.publication().intact()) {
                adopt(finished.publication());
            } else {
                alarms.accept("the drafter's version " + finished.publication().version()
                    + " does not have the checksum it was published with: it is dropped, and version " + version() + " stays in use.");
            }
        }
        finished = null;
        failed = false;
        exposedNanos += System.nanoTime() - start;
        return new Outcome(report, (lost ? exposedNanos : ownNanos) * 1e-9, exposedNanos * 1e-9);
    }

    private void adopt(Publication next) {
        // What has failed does not become the one to fall back to.
        boolean healthy = health.source() == DrafterHealth.Source.CURRENT;
        if (health.admits()) {
            previous = healthy ? current : previous;
            current = next;
            use(next);
        }
    }

    private void use(Publication publication) {
        drafter.weights().hostBytes().copyFrom(publication.bytes());
        drafter.weights().upload();
        drafter.publish();
    }

    /** Between rollouts: where the source in use gains too little, takes the next one, with an alarm. */
    public void checkHealth() {
        if (!health.ailing()) {
            return;
        }
        boolean previousFailed = health.source() == DrafterHealth.Source.PREVIOUS;
        alarms.accept(health.stepDown(current.version(), previous != null && previous.intact() ? previous.version() : -1));
        if (health.source() == DrafterHealth.Source.PREVIOUS) {
            use(previous);
        } else if (previousFailed) {
            previous = null;
        }
    }

    // ------------------------------------------------------------------------------------------------------ checkpoints

    /** Everything a checkpoint must hold besides {@link #progress}, after the update in progress has ended. */
    public Map<String, MemorySegment> parts() {
        await();
        Map<String, MemorySegment> parts = new LinkedHashMap<>();
        parts.put(WEIGHTS, current.bytes());
        if (previous != null) {
            parts.put(PREVIOUS_WEIGHTS, previous.bytes());
        }
        if (!lost) {
            learner.settle();
            parts.put("drafter.learner", twin.weights().download());
            parts.put("drafter.first", optimizer.firstMoments().download());
            parts.put("drafter.second", optimizer.secondMoments().download());
        }
        return parts;
    }

    /** What {@link #restore} needs, once {@link #parts} has been called. */
    public ObjectNode progress() {
        ObjectNode json = JsonNodeFactory.instance.objectNode();
        json.put("version", version);
        json.put("current", current.version());
        json.put("previous", previous == null ? -1 : previous.version());
        json.put("steps", optimizer.steps());
        json.put("lost", lost);
        json.put("number", number);
        json.put("failed", failed);
        if (finished != null) {
            ObjectNode update = json.putObject("finished");
            update.put("divergence", finished.report().divergence());
            update.put("grad_norm", finished.report().gradNorm());
            update.put("rows", finished.report().rows());
            update.put("kept", finished.report().kept());
        }
        json.set("health", health.toJson());
        return json;
    }

    /** Name of the part that holds the weights in use, by a checkpoint's {@link #progress}. */
    public static String partInUse(JsonNode progress) {
        return progress.at("/health/source").asText().equals(DrafterHealth.Source.PREVIOUS.name()) ? PREVIOUS_WEIGHTS : WEIGHTS;
    }

    /**
     * Takes over a checkpoint. A learner that was left behind begins anew from the weights in use.
     *
     * @param reader fills a segment with the part of a name
     */
    public void restore(JsonNode progress, java.util.function.BiConsumer<String, MemorySegment> reader) {
        health.restore(progress.required("health"));
        version = progress.required("version").longValue();
        number = progress.required("number").longValue();
        failed = progress.required("failed").booleanValue();
        reader.accept(WEIGHTS, current.bytes());
        current = Publication.of(progress.required("current").longValue(), current.bytes());
        long before = progress.required("previous").longValue();
        if (before >= 0) {
            MemorySegment bytes = free();
            reader.accept(PREVIOUS_WEIGHTS, bytes);
            previous = Publication.of(before, bytes);
        }
        use(health.source() == DrafterHealth.Source.PREVIOUS ? previous : current);
        if (progress.required("lost").booleanValue()) {
            twin.weights().hostBytes().copyFrom(current.bytes());
        } else {
            reader.accept("drafter.learner", twin.weights().hostBytes());
            reader.accept("drafter.first", optimizer.firstMoments().hostBytes());
            reader.accept("drafter.second", optimizer.secondMoments().hostBytes());
            optimizer.firstMoments().upload();
            optimizer.secondMoments().upload();
            optimizer.restore(progress.required("steps").intValue());
        }
        twin.weights().upload();
        twin.publish();
        JsonNode update = progress.get("finished");
        if (update != null) {
            boolean kept = update.required("kept").booleanValue();
            finished = new Result(new DraftLearner.Report(update.required("divergence").doubleValue(),
                update.required("grad_norm").doubleValue(), update.required("rows").longValue(), kept),
                kept ? seal(version, free()) : null);
        }
    }

    @Override
    public void close() {
        if (thread != null) {
            try {
                thread.join(TimeUnit.SECONDS.toMillis(lost ? 0L : settings.patience()) + 1);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            if (thread.isAlive()) {
                // Whatever it is doing, it does it to this memory.
                return;
            }
        }
        learner.close();
        optimizer.close();
        twin.close();
        if (concurrent) {
            ops.close();
        }
        memory.close();
    }
}
