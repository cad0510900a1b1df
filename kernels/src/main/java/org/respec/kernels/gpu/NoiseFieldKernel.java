package org.respec.kernels.gpu;

import java.util.List;
import org.respec.kernels.Checks;
import org.respec.kernels.DType;
import org.respec.kernels.Tensor;

/** Launches {@code noise_field.cu}: the noise as kernels see it, for checks. */
final class NoiseFieldKernel {
    private static final KernelSpec FIELD = KernelSpec.of("noise_field.cu", "noise_field");
    private static final KernelSpec WORDS = KernelSpec.of("noise_field.cu", "noise_of_words");
    private static final int THREADS = 256;

    private final GpuContext gpu;
    private final Arguments arguments;

    NoiseFieldKernel(GpuContext gpu) {
        this.gpu = gpu;
        this.arguments = gpu.arguments(40 + NoiseKey.BYTES);
    }

    /** Every specialisation there is, for the compile tests. */
    static List<KernelSpec> specs() {
        return List.of(FIELD, WORDS);
    }

    void field(long seed, long request, int position, Tensor noise) {
        Checks.vector("noiseField", "noise", noise, DType.F32, noise.cols());
        launch(FIELD, noise, 0, 0, seed, request, position);
    }

    void ofWords(Tensor words, Tensor noise, Tensor sound) {
        Checks.vector("noiseOfWords", "words", words, DType.I32, noise.cols());
        Checks.vector("noiseOfWords", "noise", noise, DType.F32, noise.cols());
        Checks.vector("noiseOfWords", "sound", sound, DType.I32, noise.cols());
        launch(WORDS, noise, words.address(), sound.address(), 0, 0, 0);
    }

    private void launch(KernelSpec spec, Tensor noise, long words, long sound, long seed, long request, int position) {
        int count = noise.cols();
        if (count == 0) {
            return;
        }
        arguments.begin().address(noise).address(words).address(sound).integer64(request);
        NoiseKey.write(arguments, seed).integer(position).integer(count);
        gpu.stream().launch(gpu.kernel(spec), (count + THREADS - 1) / THREADS, 1, 1, THREADS, 1, 0, arguments.end());
    }
}
