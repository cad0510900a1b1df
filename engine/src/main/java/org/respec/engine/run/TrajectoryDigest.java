package org.respec.engine.run;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.respec.engine.rollout.Trajectory;

/**
 * Checksum of all prompt and response tokens in request order, iteration by iteration: each link is the SHA-256 of the link before
 * and the iteration's tokens, so that a resumed run ends with the same value as an unbroken one.
 */
public final class TrajectoryDigest {
    private String link = "";

    /** The last link, as hexadecimal digits; empty before the first iteration. */
    public String value() {
        return link;
    }

    /** Takes over a link from a checkpoint. */
    public void restore(String link) {
        this.link = link;
    }

    /** Adds one iteration. */
    public void add(List<Trajectory> trajectories) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(link.getBytes(StandardCharsets.US_ASCII));
            for (Trajectory t : trajectories) {
                ByteBuffer bytes = ByteBuffer.allocate(4 * (2 + t.length())).order(ByteOrder.LITTLE_ENDIAN);
                bytes.putInt(t.prompt().length).putInt(t.response().length);
                for (int i = 0; i < t.length(); i++) {
                    bytes.putInt(t.token(i));
                }
                digest.update(bytes.array());
            }
            link = HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("this Java runtime has no SHA-256", e);
        }
    }
}
