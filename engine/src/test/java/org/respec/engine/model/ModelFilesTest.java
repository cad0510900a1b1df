package org.respec.engine.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.respec.engine.BadInput;
import org.respec.kernels.Backends;
import org.respec.kernels.Ops;

/** Weights of model folders whose head is the embedding and is there a second time, as many published ones are. */
class ModelFilesTest {
    private static final TensorSpec HEAD = new TensorSpec("lm_head.weight", 37, 24);

    @TempDir
    Path folder;

    /** Writes a model with {@code head} in its files, which change to {@code differs} in one value; in two shards, or one file. */
    private static void write(Path folder, ParameterSet weights, boolean shards, boolean differs) throws IOException {
        List<TensorSpec> specs = new ArrayList<>(weights.specs());
        MemorySegment values = weights.download();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment head = arena.allocate(4L * HEAD.rows() * HEAD.cols(), 4);
            // The embedding comes first.
            assertEquals("model.embed_tokens.weight", specs.getFirst().name());
            MemorySegment.copy(values, 0, head, 0, head.byteSize());
            if (differs) {
                head.setAtIndex(ValueLayout.JAVA_FLOAT, 5, 12);
            }
            if (!shards) {
                specs.add(HEAD);
                Safetensors.write(folder.resolve("model.safetensors"), specs, sink -> {
                    weights.read(sink);
                    sink.accept(head);
                }, false);
                return;
            }
            Safetensors.write(folder.resolve("model-1.safetensors"), specs, weights::read, false);
            Safetensors.write(folder.resolve("model-2.safetensors"), List.of(HEAD), sink -> sink.accept(head), false);
        }
        ObjectNode index = new JsonMapper().createObjectNode();
        ObjectNode places = index.putObject("weight_map").put(HEAD.name(), "model-2.safetensors");
        specs.forEach(spec -> places.put(spec.name(), "model-1.safetensors"));
        Files.writeString(folder.resolve("model.safetensors.index.json"), index.toString());
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aTiedHeadMayBeThereASecondTime(boolean shards) throws IOException {
        List<TensorSpec> specs = TestModels.actorConfig(true).tensors();
        try (Ops ops = Backends.open("cpu", 1); ParameterSet weights = new ParameterSet(ops, "written", specs);
             ParameterSet read = new ParameterSet(ops, "read", specs)) {
            TestModels.randomise(weights, 5);
            write(folder, weights, shards, false);
            ModelFiles.read(folder, read);
            assertEquals(-1, weights.download().mismatch(read.download()));
            write(folder, weights, shards, true);
            BadInput bad = assertThrows(BadInput.class, () -> ModelFiles.read(folder, read));
            assertTrue(bad.getMessage().contains("tensor lm_head.weight differs from model.embed_tokens.weight"), bad.getMessage());
        }
    }

    @Test
    void anUntiedHeadIsTheModelsOwn() throws IOException {
        try (Ops ops = Backends.open("cpu", 1);
             ParameterSet tied = new ParameterSet(ops, "written", TestModels.actorConfig(true).tensors());
             ParameterSet untied = new ParameterSet(ops, "read", TestModels.actorConfig(false).tensors())) {
            TestModels.randomise(tied, 5);
            write(folder, tied, false, true);
            ModelFiles.read(folder, untied);
            long at = untied.size() - (long) HEAD.rows() * HEAD.cols();
            assertEquals(12f, untied.download().getAtIndex(ValueLayout.JAVA_FLOAT, at + 5));
        }
    }
}
