package org.respec.bindings.nativelib;

/** NVIDIA's libraries that this program can use. */
public enum CudaLibrary {
    DRIVER("libcuda.so.1", "install NVIDIA's driver, 525 or newer (in a container: run it with --gpus all)"),
    NVML("libnvidia-ml.so.1", "it comes with NVIDIA's driver (in a container: NVIDIA_DRIVER_CAPABILITIES must include utility)"),
    NVRTC_12("libnvrtc.so.12", "install a CUDA 12 toolkit, or pip install nvidia-cuda-nvrtc-cu12, or put the jar"
        + " org.bytedeco:cuda-redist:12.9-9.10-1.5.12 (linux-x86_64) on the class path"),
    NVRTC_13("libnvrtc.so.13", "install a CUDA 13 toolkit, or pip install nvidia-cuda-nvrtc"),
    CUBLAS_12("libcublas.so.12", "install a CUDA 12 toolkit, or pip install nvidia-cublas-cu12"),
    CUBLAS_13("libcublas.so.13", "install a CUDA 13 toolkit, or pip install nvidia-cublas");

    private final String soname;
    private final String remedy;

    CudaLibrary(String soname, String remedy) {
        this.soname = soname;
        this.remedy = remedy;
    }

    /** The file's name, with the version that it must be. */
    public String soname() {
        return soname;
    }

    /** How to come by it, as the end of a sentence. */
    public String remedy() {
        return remedy;
    }
}
