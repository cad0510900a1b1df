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
 * Someone else on the device: a process of its own that multiplies matrices from {@link #begin} to {@link #end}, on the host in as many
 * threads as there are processors, four times, each for itself. It is started idle, so that a beginning costs nothing but the load itself.
 */
final class CompetingLoad implements AutoCloseable {
    private static final String BEGIN = "begin";
    private static final String END = "end";
    private static final String READY = "ready";
    private static final int ROWS = 64;
    private static final int HOST_SIZE = 512;
    /** A matrix that keeps a whole GPU busy. */
    private static final int DEVICE_SIZE = 8192;

    private final Process process;
    private final Writer orders;

    /** Starts the process on {@code device} and waits until it is ready. */
    CompetingLoad(String device) {
        List<String> command = new ArrayList<>();
        command.add(ProcessHandle.current().info().command().orElseThrow());
        command.addAll(List.of("-XX:+UseSerialGC", "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-cp",
            System.getProperty("java.class.path"), CompetingLoad.class.getName(), device));
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
        boolean host;
        try (Ops ops = Devices.open(arguments[0], 1)) {
            host = ops.uuid().isEmpty();
        }
        List<Worker> workers = new ArrayList<>();
        for (int i = 0; i < (host ? 4 * Runtime.getRuntime().availableProcessors() : 1); i++) {
            workers.add(new Worker(arguments[0], host ? HOST_SIZE : DEVICE_SIZE));
        }
        workers.forEach(Thread::start);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        out.println(READY);
        for (String order = in.readLine(); order != null; order = in.readLine()) {
            boolean busy = order.equals(BEGIN);
            workers.forEach(worker -> worker.set(busy));
        }
        System.exit(0);
    }

    private static final class Worker extends Thread {
        private final String device;
        private final int size;
        private boolean busy;

        Worker(String device, int size) {
            super("competing load");
            setDaemon(true);
            this.device = device;
            this.size = size;
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
            try (Ops ops = Devices.open(device, 1); TensorArena arena = ops.arena("competing load")) {
                Tensor weight = arena.allocate(DType.F32, size, size);
                Tensor x = arena.allocate(DType.F32, ROWS, size);
                Tensor y = arena.allocate(DType.F32, ROWS, size);
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
