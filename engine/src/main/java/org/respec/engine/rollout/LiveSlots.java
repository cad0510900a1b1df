package org.respec.engine.rollout;

import java.util.ArrayList;

/** Every request's place in the engine: live ones in the order they joined the batch, preempted ones oldest first, the rest idle. */
final class LiveSlots {
    private final Slot[] live;
    private final Slot[] idle;
    private final ArrayList<Slot> preempted = new ArrayList<>();
    private int liveCount;
    private int idleCount;

    LiveSlots(int maxBatch, int maxLength) {
        live = new Slot[maxBatch];
        idle = new Slot[maxBatch];
        for (int i = maxBatch - 1; i >= 0; i--) {
            idle[idleCount++] = new Slot(i, maxLength);
        }
    }

    /** Live requests; the first {@link #count} places hold one. */
    Slot[] live() {
        return live;
    }

    int count() {
        return liveCount;
    }

    boolean hasIdle() {
        return idleCount > 0;
    }

    /** An idle slot, now live. */
    Slot take() {
        Slot slot = idle[--idleCount];
        live[liveCount++] = slot;
        return slot;
    }

    /** Takes a live slot, which is done, out of the batch. */
    void retire(int index) {
        Slot slot = live[index];
        remove(index);
        slot.group = null;
        idle[idleCount++] = slot;
    }

    /** The preempted request that was admitted first; null where there is none. */
    Slot oldestPreempted() {
        return preempted.isEmpty() ? null : preempted.getFirst();
    }

    /** Makes {@link #oldestPreempted} live again. */
    void resume() {
        live[liveCount++] = preempted.removeFirst();
    }

    /** Takes the live request that was admitted last out of the batch, to be resumed later. */
    Slot preemptYoungest() {
        int youngest = 0;
        for (int r = 1; r < liveCount; r++) {
            if (live[r].admitted > live[youngest].admitted) {
                youngest = r;
            }
        }
        Slot slot = live[youngest];
        remove(youngest);
        int at = 0;
        while (at < preempted.size() && preempted.get(at).admitted < slot.admitted) {
            at++;
        }
        preempted.add(at, slot);
        return slot;
    }

    private void remove(int index) {
        // Order is kept: a request's place in the batch then changes only when an older one leaves.
        System.arraycopy(live, index + 1, live, index, liveCount - index - 1);
        live[--liveCount] = null;
    }
}
