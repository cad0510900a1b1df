package org.respec.engine;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Why something failed, as a clause of a sentence that names the file itself. */
public final class Reason {
    private static final Pattern MARK = Pattern.compile("(?m)^ in .*, line (\\d+), column \\d+:$");

    private Reason() {
    }

    /** What {@code failure} says, on one line; of texts also where in them. */
    public static String of(Exception failure) {
        return switch (failure) {
            case NoSuchFileException e -> "there is no such file or folder";
            case AccessDeniedException e -> "permission denied";
            case NotDirectoryException e -> "it is no folder";
            case FileAlreadyExistsException e -> "a file is in its place";
            case FileSystemException e when e.getReason() != null -> e.getReason();
            case CharacterCodingException e -> "it is not UTF-8 text";
            case JsonProcessingException e -> text(e);
            default -> failure.getMessage() == null ? failure.getClass().getSimpleName()
                : failure.getMessage().lines().findFirst().orElse("");
        };
    }

    private static String text(JsonProcessingException e) {
        // YAML's parser says below its words where they apply, the last time most closely, and quotes the text; JSON's names its source,
        // which is not kept.
        String words = e.getOriginalMessage().lines().filter(line -> !line.isBlank() && !line.startsWith(" "))
            .map(line -> line.replaceAll("\\[Source: [^;]*; (line: \\d+, column: \\d+)]", "$1").replaceAll("[.:;,]$", ""))
            .collect(Collectors.joining(", "));
        JsonLocation at = e.getLocation();
        return MARK.matcher(e.getOriginalMessage()).results().map(mark -> mark.group(1)).reduce((first, last) -> last)
            .or(() -> Optional.ofNullable(at == null || at.getLineNr() < 1 ? null : Integer.toString(at.getLineNr())))
            .map(line -> "line " + line + ": " + words).orElse(words);
    }
}
