package org.respec.engine.model;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import org.respec.engine.BadInput;
import org.respec.engine.Reason;
import org.respec.engine.SafeFiles;

/** Text to token ids and back, by a Hugging Face {@code tokenizer.json}. */
public final class TextTokenizer implements AutoCloseable {
    static {
        // On a machine with a GPU the library would otherwise fetch another build of itself, and it reports its use: nothing is
        // downloaded at run time.
        System.setProperty("ai.djl.offline", "true");
    }

    /** Embeddings are often padded to a multiple of this or more (Qwen's have 151,936 rows for 151,669 tokens): fewer tokens are fine. */
    private static final int PADDED_VOCABULARY = 64;

    private static final int NONE = -1;

    private final HuggingFaceTokenizer tokenizer;
    private final int vocabSize;
    /** Stands for text that the tokenizer does not know; {@link #NONE} where it knows all text. */
    private final int unknown;

    private TextTokenizer(HuggingFaceTokenizer tokenizer, int vocabSize, int unknown) {
        this.tokenizer = tokenizer;
        this.vocabSize = vocabSize;
        this.unknown = unknown;
    }

    /**
     * Opens a tokenizer for a model of {@code vocabSize} tokens.
     *
     * @throws BadInput if the file is missing, broken, or has another number of tokens than the model
     */
    public static TextTokenizer open(Path file, int vocabSize) {
        if (!SafeFiles.isFile(file)) {
            throw new BadInput(file + ": there is no such file; a model folder needs a tokenizer.json.");
        }
        JsonNode root = read(file);
        SortedSet<Integer> ids = ids(root);
        if (!ids.isEmpty() && (ids.getFirst() < 0 || ids.getLast() >= vocabSize)) {
            throw new BadInput(file + ": it names token " + (ids.getFirst() < 0 ? ids.getFirst() : ids.getLast())
                + ", but the model's vocab_size is " + vocabSize + "; tokenizer and model do not belong together.");
        }
        if (ids.size() < vocabSize && vocabSize % PADDED_VOCABULARY != 0) {
            throw new BadInput(file + ": it has " + ids.size() + " tokens, but the model's vocab_size is " + vocabSize
                + "; tokenizer and model do not belong together.");
        }
        try {
            return new TextTokenizer(HuggingFaceTokenizer.newInstance(file, Map.of("addSpecialTokens", "false", "truncation", "false",
                "padding", "false")), vocabSize, unknown(root));
        } catch (IOException | RuntimeException e) {
            throw new BadInput(file + ": it cannot be read as a tokenizer (" + Reason.of(e) + "); mend it.", e);
        } catch (LinkageError e) {
            throw new BadInput("tokenizers: their native library does not load on this machine (" + e.getMessage()
                + "); install what it misses, for instance libstdc++.", e);
        }
    }

    private static JsonNode read(Path file) {
        try {
            return JsonFields.MAPPER.readTree(Files.readAllBytes(file));
        } catch (IOException e) {
            throw new BadInput(file + ": it cannot be read as JSON (" + Reason.of(e) + "); mend it.", e);
        }
    }

    private static SortedSet<Integer> ids(JsonNode root) {
        SortedSet<Integer> ids = new TreeSet<>();
        JsonNode vocab = root.path("model").path("vocab");
        // Tokens with their scores, in the order of their ids, as Unigram has them; else an id by token.
        for (int i = 0; vocab.isArray() && i < vocab.size(); i++) {
            ids.add(i);
        }
        for (var entry : vocab.properties()) {
            ids.add(entry.getValue().asInt());
        }
        for (var token : root.path("added_tokens")) {
            ids.add(token.path("id").asInt());
        }
        return ids;
    }

    private static int unknown(JsonNode root) {
        JsonNode model = root.path("model");
        JsonNode token = model.path("unk_token");
        if (!token.isTextual()) {
            return model.path("unk_id").asInt(NONE);
        }
        for (JsonNode added : root.path("added_tokens")) {
            if (added.path("content").equals(token)) {
                return added.path("id").asInt(NONE);
            }
        }
        return model.path("vocab").path(token.textValue()).asInt(NONE);
    }

    /** Token ids of {@code text}, no special tokens added. */
    public int[] encode(String text) {
        Encoding encoding = tokenizer.encode(text, false, false);
        long[] ids = encoding.getIds();
        int[] result = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            result[i] = Math.toIntExact(ids[i]);
        }
        return result;
    }

    /** Whether tokens that {@link #encode} made stand for all of their text. */
    public boolean knowsAll(int[] ids) {
        return unknown == NONE || Arrays.stream(ids).noneMatch(id -> id == unknown);
    }

    /** Text of token ids. */
    public String decode(int[] ids) {
        long[] wide = new long[ids.length];
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] < 0 || ids[i] >= vocabSize) {
                throw new IllegalArgumentException("token " + ids[i] + " of a vocabulary of " + vocabSize);
            }
            wide[i] = ids[i];
        }
        return tokenizer.decode(wide, false);
    }

    @Override
    public void close() {
        tokenizer.close();
    }

    /**
     * Writes a {@code tokenizer.json} in which every character is a token of its own.
     *
     * @param special tokens with the first ids, never made from text
     * @param characters one token each, after the special ones
     */
    public static void writeCharacterTokenizer(Path file, List<String> special, String characters) {
        ObjectNode root = JsonFields.MAPPER.createObjectNode();
        root.put("version", "1.0");
        root.putNull("truncation");
        root.putNull("padding");
        ArrayNode added = root.putArray("added_tokens");
        ObjectNode vocab = JsonFields.MAPPER.createObjectNode();
        int id = 0;
        for (String token : special) {
            added.addObject().put("id", id).put("content", token).put("single_word", false).put("lstrip", false).put("rstrip", false)
                .put("normalized", false).put("special", true);
            vocab.put(token, id++);
        }
        for (int i = 0; i < characters.length(); i++) {
            vocab.put(characters.substring(i, i + 1), id++);
        }
        root.putNull("normalizer");
        ObjectNode split = root.putObject("pre_tokenizer");
        split.put("type", "Split").putObject("pattern").put("Regex", "[\\s\\S]");
        split.put("behavior", "Isolated").put("invert", false);
        root.putNull("post_processor");
        root.putObject("decoder").put("type", "Fuse");
        ObjectNode model = root.putObject("model");
        model.put("type", "WordLevel").set("vocab", vocab);
        model.put("unk_token", special.getFirst());
        SafeFiles.write(file, (root.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8));
    }
}
