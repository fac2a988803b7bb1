//! The estimate of a training step's memory against what the allocator counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use candle_core::{DType, Device, Tensor};
use duomo_model::{Architecture, Fcn, segmentation_losses};

/// The system's allocator, counting bytes.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged; counting touches no memory that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(held, Relaxed);
        // SAFETY: by the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: by the contract of this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_takes_about_as_much_as_estimated() {
    for (width, side, slices, dropout) in [(2, 160, 3, 0.0), (4, 112, 2, 0.25), (8, 64, 1, 0.25)] {
        let architecture = Architecture { width, dropout, ..Architecture::paper(4, 2) };
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);

        let fcn = Fcn::new(&architecture, 1, DType::F32, &Device::Cpu).unwrap();
        let _moments: Vec<Tensor> = fcn
            .parameters()
            .trainable()
            .values()
            .flat_map(|var| [var.zeros_like().unwrap(), var.zeros_like().unwrap()])
            .collect();
        let images = Tensor::zeros((slices, side, side, 1), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::zeros((slices, side, side), DType::U8, &Device::Cpu).unwrap();
        let output = fcn.forward_train(&[images.clone(), images], &[], 0).unwrap();
        let losses = output.logits.iter().map(|logits| {
            let (dice, cross_entropy) = segmentation_losses(logits, &labels).unwrap();
            (dice + cross_entropy).unwrap()
        });
        let loss = losses.reduce(|sum, loss| (sum + loss).unwrap()).unwrap();
        let gradients = output.backward(&loss).unwrap();

        assert_eq!(gradients.len(), fcn.parameters().trainable().len());
        let peak = (PEAK.load(Relaxed) - before) as f64;
        let estimate = architecture.training_bytes(2 * slices, side, side) as f64;
        assert!((0.95..1.25).contains(&(estimate / peak)), "estimated {estimate}, took {peak}");
    }
}
