package org.respec.engine.rollout;

/** One request's place in the engine: its tokens so far and its handles. Reused from request to request. */
final class Slot {
    /** Sequence handle of a cache that holds nothing of this request. */
    static final int NO_SEQUENCE = -1;

    final int index;
    final int[] tokens;
    final float[] logProbs;
    GroupState group;
    int sample;
    long requestId;
    long admitted;
    /** Tokens decided, prompt included; all but the last are in the actor's cache. */
    int length;
    int kvSequence = NO_SEQUENCE;
    int draftSequence = NO_SEQUENCE;
    boolean done;
    boolean ended;
    /** Steps that drafted for this request, and the tokens it gained in them. */
    int speculativeSteps;
    int speculativeTokens;

    Slot(int index, int maxLength) {
        this.index = index;
        this.tokens = new int[maxLength];
        this.logProbs = new float[maxLength];
    }

    void start(GroupState group, int sample, long admitted) {
        this.group = group;
        this.sample = sample;
        this.requestId = group.prompt.firstRequestId() + sample;
        this.admitted = admitted;
        int[] prompt = group.prompt.prompt();
        System.arraycopy(prompt, 0, tokens, 0, prompt.length);
        length = prompt.length;
        done = false;
        ended = false;
        speculativeSteps = 0;
        speculativeTokens = 0;
    }

    /** Tokens in the actor's cache: the last decided token is not yet. */
    int committed() {
        return length - 1;
    }

    int promptLength() {
        return group.prompt.prompt().length;
    }
}
