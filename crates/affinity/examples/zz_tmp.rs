use std::time::Instant;
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/schedstat").unwrap(); s.split(' ').next().unwrap().parse::<f64>().unwrap()*1e-9 }
fn g(m: usize, n: usize, k: usize, mm: usize, kind: &str) {
    let x = vec![0.5f32; k.max(m) * mm.max(n)+64]; let y = vec![0.25f32; k.max(m) * n.max(k)+64]; let mut o = vec![0f32; m * n];
    let reps = (4e9 / (2.0 * (m * n * k) as f64)).ceil() as usize;
    let mut best = f64::MAX; let mut wbest=f64::MAX;
    for _ in 0..5 { let c = cpu(); let w = Instant::now();
      for _ in 0..reps { unsafe { 
        let (lcs, lrs, rcs, rrs) = match kind { "tn" => (mm as isize, 1, 1, n as isize), "nn" => (1, k as isize, 1, n as isize), "nt" => (1, k as isize, k as isize, 1), _ => panic!() };
        gemm::gemm(m, n, k, o.as_mut_ptr(), 1, n as isize, false, x.as_ptr(), lcs, lrs, y.as_ptr(), rcs, rrs, 0.0, 1.0, false, false, false, gemm::Parallelism::None) } }
      best = best.min(cpu() - c); wbest = wbest.min(w.elapsed().as_secs_f64()); }
    println!("{kind} m{m} n{n} k{k}: {:.1} GF/s cpu, {:.1} wall", reps as f64 * 2e-9 * (m * n * k) as f64 / best, reps as f64 * 2e-9 * (m * n * k) as f64 / wbest);
}
fn main() {
    println!("{} {}", is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx2"));
    g(512, 512, 512, 512, "nn"); g(1024,1024,1024,1024,"nn");
    for m in [64, 128, 256, 512] { g(m, 512, 4700, 512, "tn"); }
    for m in [64, 128, 256] { g(m, 256, 4700, 256, "tn"); }
    for m in [64, 256,1024] { g(m, 512, 512, 512, "nt"); g(m, 512, 512, 512, "nn"); }
    // faults
    let c = cpu(); for _ in 0..10 { let v = vec![1f32; 6272*512]; std::hint::black_box(&v); } println!("alloc+fill 12.8MB: {:.1} ms cpu", (cpu()-c)*100.0);
    let src = vec![1f32; 6272*512]; let mut dst = vec![0f32; 6272*512]; let c = cpu(); for _ in 0..10 { dst.copy_from_slice(&src); std::hint::black_box(&dst); } println!("copy 12.8MB: {:.1} ms cpu", (cpu()-c)*100.0);
}
