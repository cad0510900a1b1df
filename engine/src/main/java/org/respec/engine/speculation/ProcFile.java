package org.respec.engine.speculation;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/**
 * The beginning of a file of the kernel's numbers, read again and again by a thread that takes a processor from decoding meanwhile: without
 * strings, since what they need is in no cache and mostly interpreted, and took a millisecond where the kernel takes some microseconds.
 */
final class ProcFile implements AutoCloseable {
    private static final int BYTES = 256;

    private final Path path;
    private final FileChannel file;
    private final ByteBuffer text = ByteBuffer.allocateDirect(BYTES);

    /** Opens it, and reads nothing. */
    ProcFile(Path path) throws IOException {
        this.path = path;
        file = FileChannel.open(path);
    }

    /** Reads it anew; false if it is empty. */
    boolean read() throws IOException {
        text.clear();
        int read = file.read(text, 0);
        text.flip();
        return read > 0;
    }

    /** Whether a word comes next, which is then passed. */
    boolean pass(String word) {
        if (text.remaining() < word.length()) {
            return false;
        }
        for (int i = 0; i < word.length(); i++) {
            if (text.get(text.position() + i) != word.charAt(i)) {
                return false;
            }
        }
        text.position(text.position() + word.length());
        return true;
    }

    /**
     * The next number of the line.
     *
     * @throws IOException if there is none
     */
    long number() throws IOException {
        while (text.hasRemaining() && text.get(text.position()) == ' ') {
            text.get();
        }
        long number = 0;
        int digits = 0;
        while (text.hasRemaining()) {
            int digit = text.get(text.position()) - '0';
            if (digit < 0 || digit > 9) {
                break;
            }
            text.get();
            number = 10 * number + digit;
            digits++;
        }
        if (digits == 0) {
            throw new IOException(path + " says no number where one was expected");
        }
        return number;
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
