package org.respec.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.junit.jupiter.api.Test;

class FastMathTest {
    private static final float[] EDGES = {0f, -0f, 1f, -1f, Float.MIN_VALUE, -Float.MIN_VALUE, 88.72283f, 88.72284f, 88.8f, 100f, 1e30f,
        -87.33654f, -87.33655f, -87.5f, -87.7f, -88f, -103f, -104f, -1e30f, Float.MAX_VALUE, -Float.MAX_VALUE, Float.POSITIVE_INFINITY,
        Float.NEGATIVE_INFINITY, Float.NaN, Float.intBitsToFloat(0x7f8001ff), Float.intBitsToFloat(0xffc12345), 88.3762f, 88.3763f};

    @Test
    void scalarIsWithinTwoUlp() {
        double worst = 0;
        float at = 0;
        for (int i = 0; i <= 4_000_000; i++) {
            float x = -87f + i * (175f / 4_000_000);
            double exact = Math.exp(x);
            double error = Math.abs(FastMath.exp(x) - exact) / Math.ulp((float) exact);
            if (error > worst) {
                worst = error;
                at = x;
            }
        }
        assertTrue(worst <= 2, "error of " + worst + " ulp at " + at);
    }

    @Test
    void edges() {
        assertEquals(1f, FastMath.exp(0f));
        assertEquals(1f, FastMath.exp(-0f));
        assertEquals(0f, FastMath.exp(-88f));
        assertEquals(0f, FastMath.exp(Float.NEGATIVE_INFINITY));
        assertEquals(Float.POSITIVE_INFINITY, FastMath.exp(89f));
        assertEquals(Float.POSITIVE_INFINITY, FastMath.exp(Float.POSITIVE_INFINITY));
        assertTrue(FastMath.exp(88.72283f) > 3.4e38f && Float.isFinite(FastMath.exp(88.72283f)));
        assertTrue(FastMath.exp(-87.33654f) >= Float.MIN_NORMAL * 0.999f);
        assertTrue(Float.isNaN(FastMath.exp(Float.NaN)));
        assertTrue(Float.isNaN(FastMath.exp(Float.intBitsToFloat(0x7f8001ff))));
    }

    @Test
    void vectorsGiveTheScalarsBits() {
        for (VectorSpecies<Float> species : List.of(FloatVector.SPECIES_128, FloatVector.SPECIES_256,
            FloatVector.SPECIES_PREFERRED)) {
            int lanes = species.length();
            float[] in = new float[200_000 + EDGES.length];
            System.arraycopy(EDGES, 0, in, 0, EDGES.length);
            for (int i = EDGES.length; i < in.length; i++) {
                in[i] = -110f + (i - EDGES.length) * (220f / 200_000);
            }
            float[] out = new float[lanes];
            for (int i = 0; i + lanes <= in.length; i += lanes) {
                FastMath.exp(FloatVector.fromArray(species, in, i)).intoArray(out, 0);
                for (int lane = 0; lane < lanes; lane++) {
                    float expected = FastMath.exp(in[i + lane]);
                    assertEquals(Float.floatToIntBits(expected), Float.floatToIntBits(out[lane]), "exp(" + in[i + lane] + ")");
                }
            }
        }
    }
}
