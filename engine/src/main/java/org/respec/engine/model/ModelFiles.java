package org.respec.engine.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;
import org.respec.kernels.DType;

/** A model folder's weights, in one file or in shards with an index. */
public final class ModelFiles {
    private static final String WEIGHTS = "model.safetensors";
    private static final String EMBEDDING = "model.embed_tokens.weight";
    private static final String HEAD = "lm_head.weight";
    private static final String INDEX = "model.safetensors.index.json";

    private ModelFiles() {
    }

    /** Reads all tensors of {@code set}, one after another; extra and missing tensors are refused. */
    static void read(Path folder, ParameterSet set) {
        if (!SafeFiles.isFolder(folder)) {
            throw new BadInput(folder + ": there is no such folder; name one with a model in Hugging Face form.");
        }
        Path index = folder.resolve(INDEX);
        Map<Path, Safetensors> open = new HashMap<>();
        try {
            Map<String, Path> places = SafeFiles.isFile(index) ? shards(folder, index) : Map.of();
            Path single = folder.resolve(WEIGHTS);
            Set<String> wanted = new HashSet<>();
            for (TensorSpec spec : set.specs()) {
                Path file = places.isEmpty() ? single : places.get(spec.name());
                if (file == null) {
                    throw new BadInput(index + ": tensor " + spec.name() + " is missing; config.json and weights do not belong together.");
                }
                Safetensors tensors = open.computeIfAbsent(file, Safetensors::open);
                try (Arena buffer = Arena.ofConfined()) {
                    MemorySegment floats = buffer.allocate(4L * spec.rows() * spec.cols(), 64);
                    tensors.read(spec, floats);
                    set.write(spec.name(), floats);
                }
                wanted.add(spec.name());
            }
            checkTiedHead(places.isEmpty() ? single : places.get(HEAD), wanted, places.getOrDefault(EMBEDDING, single), open);
            open.forEach((file, tensors) -> tensors.entries().keySet().stream().filter(name -> !wanted.contains(name)).findFirst()
                .ifPresent(name -> {
                    throw new BadInput(file + ": tensor " + name + " has no place in the model that config.json describes.");
                }));
        } finally {
            open.values().forEach(Safetensors::close);
        }
    }

    /** Many a model with a tied head has the embedding a second time under the head's name: then it is passed over. */
    private static void checkTiedHead(Path file, Set<String> wanted, Path embedding, Map<Path, Safetensors> open) {
        if (file == null || wanted.contains(HEAD) || !wanted.contains(EMBEDDING)) {
            return;
        }
        Safetensors tensors = open.computeIfAbsent(file, Safetensors::open);
        if (tensors.entries().containsKey(HEAD)) {
            if (!tensors.same(HEAD, open.get(embedding), EMBEDDING)) {
                throw new BadInput(file + ": tensor " + HEAD + " differs from " + EMBEDDING + ", but config.json says tie_word_embeddings"
                    + " true; set it to false.");
            }
            wanted.add(HEAD);
        }
    }

    private static Map<String, Path> shards(Path folder, Path index) {
        try {
            JsonNode map = JsonFields.MAPPER.readTree(Files.readAllBytes(index)).path("weight_map");
            Map<String, Path> places = new HashMap<>();
            for (Map.Entry<String, JsonNode> entry : map.properties()) {
                String name = entry.getValue().asText();
                // Only plain names: an index must not lead out of its folder.
                if (!name.matches("[A-Za-z0-9_-][A-Za-z0-9._-]*\\.safetensors")) {
                    throw new BadInput(index + ": shard '" + name + "' must be a plain file name ending in .safetensors.");
                }
                places.put(entry.getKey(), folder.resolve(name));
            }
            if (places.isEmpty()) {
                throw new BadInput(index + ": weight_map is missing or empty.");
            }
            return places;
        } catch (IOException e) {
            throw new BadInput(index + ": it cannot be read as JSON (" + Reason.of(e) + "); mend it.", e);
        }
    }

    /** Writes {@code config.json} and {@code model.safetensors} (BF16) into {@code folder}, which is made if it is missing. */
    public static void write(Path folder, ObjectNode config, ParameterSet weights) {
        write(folder, config, weights.specs(), weights::read, DType.BF16);
    }

    /**
     * The same in a type of choice.
     *
     * @param values gives all elements as floats, in the order of {@code specs}, in pieces, as {@link ParameterSet#read} does
     * @param dtype F32, or BF16 to round to
     */
    public static void write(Path folder, ObjectNode config, List<TensorSpec> specs, Consumer<Consumer<MemorySegment>> values,
                             DType dtype) {
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new BadInput(folder + ": the folder cannot be made (" + Reason.of(e) + "); name one that can.", e);
        }
        ObjectNode typed = config.deepCopy().put("torch_dtype", dtype == DType.BF16 ? "bfloat16" : "float32");
        SafeFiles.write(folder.resolve("config.json"), (typed.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
        Safetensors.write(folder.resolve(WEIGHTS), specs, values, dtype == DType.BF16);
    }
}
