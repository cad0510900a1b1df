package org.respec.engine;

/** Something the user gave is wrong. The message is one sentence: which file or field, what is wrong with it, how to mend it. */
public final class BadInput extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** @param sentence names the file or field and says how to mend it; it is all that the user sees */
    public BadInput(String sentence) {
        super(sentence);
    }

    /** The same with what it came from. */
    public BadInput(String sentence, Throwable cause) {
        super(sentence, cause);
    }
}
