package org.respec.tools;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.respec.engine.run.PretrainConfig;
import org.respec.engine.run.RunConfig;

/** The examples are read as the commands that they name read them, and those that belong together agree. */
class ExamplesTest {
    private static final Path EXAMPLES = Path.of("examples");

    @Test
    void everyExampleIsReadByTheCommandThatItNames() throws IOException {
        try (Stream<Path> files = Files.list(EXAMPLES)) {
            for (Path file : new TreeSet<>(files.filter(f -> f.toString().endsWith(".yaml")).toList())) {
                String text = Files.readString(file);
                boolean train = text.contains("tools/respec train tools/examples/" + file.getFileName());
                boolean pretrain = text.contains("tools/respec pretrain tools/examples/" + file.getFileName());
                assertTrue(train != pretrain, file + " must name the one command that reads it");
                if (train) {
                    RunConfig.read(file, List.of());
                } else {
                    PretrainConfig.read(file, List.of());
                }
            }
        }
    }

    @Test
    void gpuArithmeticTrainsTheModelsThatItsPretrainingMakes() {
        PretrainConfig made = PretrainConfig.read(EXAMPLES.resolve("gpu-arithmetic-model.yaml"), List.of());
        RunConfig trained = RunConfig.read(EXAMPLES.resolve("gpu-arithmetic.yaml"), List.of());
        assertEquals(made.output().actor().normalize(), trained.model().actor());
        assertEquals(made.output().drafter().normalize(), trained.model().drafter());
        assertEquals(made.task().arithmetic(), trained.task().arithmetic());
        assertEquals(made.run().device(), trained.run().device());
    }
}
