use std::path::Path;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let kind =
        if args[1] == "mmwhs" { duomo_phantom::Kind::Mmwhs } else { duomo_phantom::Kind::Mscmr };
    let mut o = duomo_phantom::Options::new(kind, args[4].parse().unwrap());
    o.matrix_scale = args[3].parse().unwrap();
    let n: usize = args[5].parse().unwrap();
    if n > 0 {
        for p in &mut o.patients {
            p.1 = n;
        }
    }
    if args.len() > 6 {
        o.patients.push((duomo_phantom::Modality::T2, n));
    }
    let t = std::time::Instant::now();
    duomo_phantom::write_dataset(&o, Path::new(&args[2])).unwrap();
    println!("{:?}", t.elapsed());
}
