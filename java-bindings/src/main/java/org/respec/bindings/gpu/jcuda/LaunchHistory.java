package org.respec.bindings.gpu.jcuda;

/**
 * The last launches of a stream, for the message when the device fails: it reports errors late, so the culprit is one of these. Allocates
 * nothing.
 */
final class LaunchHistory {
    private static final int LENGTH = 16;
    private static final int NUMBERS = 6;

    private final Object[] what = new Object[LENGTH];
    private final int[] numbers = new int[LENGTH * NUMBERS];
    private long count;

    /** @param what the kernel, graph or library; its text is made only if it is asked for */
    void add(Object what, int a, int b, int c, int d, int e, int f) {
        int slot = (int) (count++ % LENGTH);
        this.what[slot] = what;
        int at = slot * NUMBERS;
        numbers[at] = a;
        numbers[at + 1] = b;
        numbers[at + 2] = c;
        numbers[at + 3] = d;
        numbers[at + 4] = e;
        numbers[at + 5] = f;
    }

    boolean any() {
        return count > 0;
    }

    /** Launches so far. */
    long count() {
        return count;
    }

    /** One line each, newest first. */
    String describe() {
        StringBuilder text = new StringBuilder("last launches, newest first:");
        for (long i = count - 1; i >= Math.max(0, count - LENGTH); i--) {
            int slot = (int) (i % LENGTH);
            int at = slot * NUMBERS;
            text.append("\n  ").append(what[slot]);
            if (what[slot] instanceof JcudaKernel) {
                text.append(shape(numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3], numbers[at + 4], numbers[at + 5]));
            } else if (what[slot] instanceof Cublas) {
                text.append(" m ").append(numbers[at]).append(" n ").append(numbers[at + 1]).append(" k ").append(numbers[at + 2]);
            }
        }
        return text.toString();
    }

    static String shape(int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes) {
        return " grid " + gridX + "x" + gridY + "x" + gridZ + " block " + blockX + "x" + blockY + " shared " + sharedBytes;
    }
}
