package org.respec.tools.experiment;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.respec.engine.run.Devices;
import org.respec.kernels.DType;
import org.respec.kernels.Ops;
import org.respec.kernels.PackedMatrix;
import org.respec.kernels.Tensor;
import org.respec.kernels.TensorArena;

/**
 * Someone else on the device: a process of its own that multiplies matrices from {@link #begin} to {@link #end}. It is started idle, so
 * that a beginning costs nothing but the load itself.
 */
final class CompetingLoad implements AutoCloseable {
    private static final String BEGIN = "begin";
    private static final String END = "end";
    private static final String READY = "ready";
    private static final int ROWS = 64;
    private static final int SIZE = 512;

    private final Process process;
    private final Writer orders;

    /** Starts the process on {@code device} with {@code threads} host threads (0 for all) and waits until it is ready. */
    CompetingLoad(String device, int threads) {
        List<String> command = new ArrayList<>();
        command.add(ProcessHandle.current().info().command().orElseThrow());
        command.addAll(List.of("-XX:+UseSerialGC", "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-cp",
            System.getProperty("java.class.path"), CompetingLoad.class.getName(), device, Integer.toString(threads)));
        try {
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            orders = process.outputWriter(StandardCharsets.US_ASCII);
            String first = process.inputReader(StandardCharsets.US_ASCII).readLine();
            if (!READY.equals(first)) {
                throw new IllegalStateException("the competing process on " + device + " did not start");
            }
        } catch (IOException e) {
            throw new UncheckedIOException("the competing process cannot be started", e);
        }
    }

    void begin() {
        order(BEGIN);
    }

    void end() {
        order(END);
    }

    private void order(String word) {
        try {
            orders.write(word + "\n");
            orders.flush();
        } catch (IOException e) {
            throw new UncheckedIOException("the competing process has gone", e);
        }
    }

    @Override
    public void close() {
        process.destroy();
    }

    /** The process: takes orders from its input, and ends with it. */
    public static void main(String[] arguments) throws IOException {
        PrintStream out = System.out;
        Worker worker = new Worker(arguments[0], Integer.parseInt(arguments[1]));
        worker.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        out.println(READY);
        for (String order = in.readLine(); order != null; order = in.readLine()) {
            worker.set(order.equals(BEGIN));
        }
        System.exit(0);
    }

    private static final class Worker extends Thread {
        private final String device;
        private final int threads;
        private boolean busy;

        Worker(String device, int threads) {
            super("competing load");
            setDaemon(true);
            this.device = device;
            this.threads = threads;
        }

        synchronized void set(boolean on) {
            busy = on;
            notifyAll();
        }

        private synchronized void await() throws InterruptedException {
            while (!busy) {
                wait();
            }
        }

        @Override
        public void run() {
            try (Ops ops = Devices.open(device, threads); TensorArena arena = ops.arena("competing load")) {
                Tensor weight = arena.allocate(DType.F32, SIZE, SIZE);
                Tensor x = arena.allocate(DType.F32, ROWS, SIZE);
                Tensor y = arena.allocate(DType.F32, ROWS, SIZE);
                ops.fill(weight, 0.01f);
                ops.fill(x, 0.01f);
                PackedMatrix packed = ops.pack(arena, weight);
                while (true) {
                    await();
                    ops.linear(x, packed, y, false, ROWS);
                    ops.synchronize();
                }
            } catch (InterruptedException e) {
                // Nobody interrupts it.
            }
        }
    }
}
