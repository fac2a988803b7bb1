// Eq. (1) of mod.rs for every element of many variables. CUDA twin of cpu.rs.
//
// Variables differ in length, so a launch runs over chunks of them: `chunks` [T, 3] names a chunk's
// variable, its first element and the one behind its last.

#define THREADS 256

// Nothing moves when `loss` is infinite or no number: the host learns of it later. Grid: (T).
extern "C" __global__ void __launch_bounds__(THREADS, 4) adam_update(
    float* const* __restrict__ weights, float* const* __restrict__ means, float* const* __restrict__ squares,
    const float* const* __restrict__ gradients,
    const float* __restrict__ loss, // [1]
    const int* __restrict__ chunks,
    const float* __restrict__ decays, // L2 of every variable
    float beta1, float beta2, float fresh1, float fresh2, float epsilon, float step_size, float root_scale)
{
    if (*loss - *loss != 0.0f) return;
    const int variable = chunks[3 * blockIdx.x], end = chunks[3 * blockIdx.x + 2];
    float *weight = weights[variable], *mean = means[variable], *square = squares[variable];
    const float* gradient = gradients[variable];
    const float decay = decays[variable];
    for (int i = chunks[3 * blockIdx.x + 1] + threadIdx.x; i < end; i += THREADS) {
        const float g = gradient[i] + decay * weight[i];
        const float m = beta1 * mean[i] + fresh1 * g;
        const float v = beta2 * square[i] + fresh2 * g * g;
        mean[i] = m;
        square[i] = v;
        weight[i] -= step_size * m / (sqrtf(v) * root_scale + epsilon);
    }
}
