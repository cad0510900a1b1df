package org.respec.engine.rollout;

/** A prompt whose responses are being drawn: the shared prefix (all of the prompt but its last token) in both caches. */
final class GroupState {
    final int index;
    final PromptGroup prompt;
    /** Place of the prefix's features in the feature store. */
    int featurePlace = -1;
    int kvSequence = Slot.NO_SEQUENCE;
    int draftSequence = Slot.NO_SEQUENCE;
    /** How much longer than most its responses are expected to be: see {@link ResponseLengths#scale}. */
    double lengthScale = 1;
    int admitted;
    int finished;
    /** Count of missed rows that last had this group's prefix in it. */
    long counted;

    GroupState(int index, PromptGroup prompt) {
        this.index = index;
        this.prompt = prompt;
    }

    int prefixLength() {
        return prompt.prompt().length - 1;
    }
}
