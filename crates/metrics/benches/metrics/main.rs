mod cases; mod random;
use std::time::Instant;
use cases::{Case, LABELS};
use duomo_metrics::{Options, evaluate};
fn time(case:&Case)->(f64,f64){ let o=Options::new(case.spacing_mm); let mut t=vec![]; let begin=Instant::now();
 while t.len()<3 || (t.len()<25 && begin.elapsed().as_secs_f64()<1.0) { let s=Instant::now(); let r=evaluate(&case.prediction,&case.reference,case.shape,&LABELS,&o).unwrap(); t.push(s.elapsed().as_secs_f64()); std::hint::black_box(r);} t.sort_by(f64::total_cmp); (t[0],t[t.len()/2]) }
fn main(){ let which:Vec<String>=std::env::args().skip(1).collect(); for c in [Case::read("perf_mr224"),Case::read("perf_ct256"),Case::large()] { if !which.is_empty() && !which.contains(&c.name) && which[0]!="--bench" {continue}
 let (m,base)=time(&c); println!("{:24} min {:8.2} med {:8.2} ms",c.name,m*1e3,base*1e3);
 for s in c.spoiled(){ let (a,b)=time(&s); println!("{:24} min {:8.2} med {:8.2} ms  x{:.1}",s.name,a*1e3,b*1e3,a/m); } } }
