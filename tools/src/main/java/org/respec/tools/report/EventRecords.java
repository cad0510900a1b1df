package org.respec.tools.report;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.WireFormat;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.zip.CRC32C;

/**
 * TensorBoard's event records. A record is: length of the data (64 bits), its masked CRC32C, the data, their masked CRC32C (32 bits
 * each), all little-endian. The data are an {@code Event} of tensorflow's {@code event.proto}, whose scalars are {@code simple_value}s
 * of {@code summary.proto}.
 */
final class EventRecords {
    static final String FILE_VERSION = "brain.Event:2";
    static final int FRAME_BYTES = Long.BYTES + 2 * Integer.BYTES;
    /** No event of ours comes near it; a length above is a damaged one. */
    private static final long MOST_BYTES = 1 << 24;
    private static final int CRC_MASK = 0xa282ead8;

    private static final int EVENT_WALL_TIME = 1;
    private static final int EVENT_STEP = 2;
    private static final int EVENT_FILE_VERSION = 3;
    private static final int EVENT_SUMMARY = 5;
    private static final int SUMMARY_VALUE = 1;
    private static final int VALUE_TAG = 1;
    private static final int VALUE_SIMPLE_VALUE = 2;

    /** Where the whole records of a file end, and the largest step among them (0 if there is none). */
    record Extent(long bytes, long lastStep) {
    }

    private EventRecords() {
    }

    /** The record that a file begins with. */
    static byte[] header(double wallTime) {
        return record(encode(out -> {
            out.writeDouble(EVENT_WALL_TIME, wallTime);
            out.writeString(EVENT_FILE_VERSION, FILE_VERSION);
        }));
    }

    /** A record of scalars by tag. */
    static byte[] scalars(double wallTime, long step, Map<String, Double> values) {
        byte[] summary = encode(out -> {
            for (Map.Entry<String, Double> value : values.entrySet()) {
                out.writeByteArray(SUMMARY_VALUE, encode(v -> {
                    v.writeString(VALUE_TAG, value.getKey());
                    v.writeFloat(VALUE_SIMPLE_VALUE, value.getValue().floatValue());
                }));
            }
        });
        return record(encode(out -> {
            out.writeDouble(EVENT_WALL_TIME, wallTime);
            out.writeInt64(EVENT_STEP, step);
            out.writeByteArray(EVENT_SUMMARY, summary);
        }));
    }

    /**
     * Reads records until one is damaged, cut short, of a step above {@code lastStep}, or the first and not a header: what is kept ends
     * before that one.
     */
    static Extent scan(byte[] file, long lastStep) {
        ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        long kept = 0;
        long last = 0;
        while (bytes.remaining() >= FRAME_BYTES) {
            int start = bytes.position();
            long length = bytes.getLong();
            if (bytes.getInt() != masked(file, start, Long.BYTES) || length < 0 || length > MOST_BYTES
                || length > bytes.remaining() - Integer.BYTES) {
                break;
            }
            int data = bytes.position();
            bytes.position(data + (int) length);
            if (bytes.getInt() != masked(file, data, (int) length)) {
                break;
            }
            long step = step(file, data, (int) length, start == 0);
            if (step < 0 || step > lastStep) {
                break;
            }
            last = Math.max(last, step);
            kept = bytes.position();
        }
        return new Extent(kept, last);
    }

    /** The step of an event, or -1 if it is none, or is to be the header and is not. */
    private static long step(byte[] file, int offset, int length, boolean header) {
        long step = 0;
        boolean version = false;
        try {
            CodedInputStream in = CodedInputStream.newInstance(file, offset, length);
            int tag;
            while ((tag = in.readTag()) != 0) {
                switch (WireFormat.getTagFieldNumber(tag)) {
                    case EVENT_STEP -> step = in.readInt64();
                    case EVENT_FILE_VERSION -> version = in.readString().equals(FILE_VERSION);
                    default -> in.skipField(tag);
                }
            }
        } catch (IOException e) {
            return -1;
        }
        return header && !version ? -1 : step;
    }

    private interface Fields {
        void writeTo(CodedOutputStream out) throws IOException;
    }

    private static byte[] encode(Fields fields) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            CodedOutputStream out = CodedOutputStream.newInstance(bytes);
            fields.writeTo(out);
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static byte[] record(byte[] data) {
        ByteBuffer framed = ByteBuffer.allocate(FRAME_BYTES + data.length).order(ByteOrder.LITTLE_ENDIAN);
        framed.putLong(data.length);
        framed.putInt(masked(framed.array(), 0, Long.BYTES));
        framed.put(data);
        framed.putInt(masked(data, 0, data.length));
        return framed.array();
    }

    /** CRC32C, turned and shifted as the format wants it, so that a CRC of data that hold CRCs stays good. */
    private static int masked(byte[] bytes, int offset, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, offset, length);
        return Integer.rotateRight((int) crc.getValue(), 15) + CRC_MASK;
    }
}
