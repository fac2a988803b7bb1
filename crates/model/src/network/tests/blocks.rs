//! `blocks.safetensors`: the parts of the network, alone.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};
use duomo_ops::cuda::runners::{Place, places};

use crate::fixture::{Fixture, relative_error, tolerance};
use crate::network::blocks::{Dropout, HeadBlock, Norm, Residual, Unit};
use crate::network::pass::Pass;
use crate::network::tape::Traced;
use crate::{Error, Head, Parameters};

/// Two modalities with two slices each.
const ROWS: [usize; 4] = [0, 0, 1, 1];

const NO_DROPOUT: fn() -> Dropout = || Dropout::new(0.0, 0);

#[test]
fn a_norm_takes_the_statistics_of_each_modality() -> Result<()> {
    in_every_place("norm", &ROWS, |parameters| {
        let norm = Norm::new(parameters, "norm");
        Box::new(move |x, pass| norm.forward(x, pass))
    })
}

#[test]
fn a_shared_norm_takes_the_statistics_of_all_slices() -> Result<()> {
    in_every_place("norm_shared", &[0; 4], |parameters| {
        let norm = Norm::new(parameters, "norm_shared");
        Box::new(move |x, pass| norm.forward(x, pass))
    })
}

#[test]
fn a_unit_is_as_published() -> Result<()> {
    in_every_place("unit", &ROWS, |parameters| {
        let unit = Unit::new(parameters, "unit", 1, NO_DROPOUT());
        Box::new(move |x, pass| unit.forward(x, pass))
    })
}

#[test]
fn residual_blocks_are_as_published() -> Result<()> {
    for (name, dilation) in [("residual", 1), ("residual_wider", 1), ("residual_dilated", 2)] {
        in_every_place(name, &ROWS, |parameters| {
            let unit =
                |part| Unit::new(parameters, &format!("{name}.{part}"), dilation, NO_DROPOUT());
            let residual = Residual { unit1: unit("unit1"), unit2: unit("unit2") };
            Box::new(move |x, pass| residual.forward(x, pass))
        })?;
    }
    Ok(())
}

#[test]
fn both_heads_are_as_published() -> Result<()> {
    let heads =
        [("deconvolution", Head::PixelShuffle), ("deconvolution_transposed", Head::Transposed)];
    for (name, head) in heads {
        in_every_place(name, &ROWS, |parameters| {
            let block = HeadBlock::new(parameters, name, head);
            Box::new(move |x, pass| block.forward(x, pass))
        })?;
    }
    Ok(())
}

/// Running statistics as Eq. 1 has them, summed slice by slice.
#[test]
fn running_statistics_move_a_tenth_of_the_way() -> Result<()> {
    let fixture = Fixture::open("blocks")?;
    for (name, rows) in [("norm", ROWS), ("norm_shared", [0; 4])] {
        let parameters = parameters(&fixture, name, &Place::on_cpu(DType::F64))?;
        let input = fixture.get(&format!("{name}.input")).to_dtype(DType::F64)?;
        let pass = Pass::training(rows.to_vec(), 0);

        let traced = Traced::constant(input.clone());
        Norm::new(&parameters, name).forward(&traced, &pass).unwrap();

        for row in 0..=rows[3] {
            let of_row = (0u32..4).filter(|&slice| rows[slice as usize] == row);
            let slices = Tensor::from_iter(of_row, input.device())?;
            let pixels = input.index_select(&slices, 0)?.reshape(((), 4))?; // [n, channels]
            let n = pixels.dim(0)? as f64;
            let mean = pixels.mean_keepdim(0)?;
            let variance = (pixels.broadcast_sub(&mean)?.sqr()?.sum_keepdim(0)? / (n - 1.0))?;
            for (statistic, new) in [("running_mean", mean), ("running_var", variance)] {
                let statistic = format!("{name}.{statistic}");
                let old = fixture.get(&statistic).narrow(0, row, 1)?.to_dtype(DType::F64)?;
                let expected = ((old * 0.9)? + (new * 0.1)?)?;
                let actual = parameters.get(&statistic).narrow(0, row, 1)?;
                // Batch statistics are handed over in `f32`.
                assert!(relative_error(&actual, &expected)? < 1e-7, "{statistic}, row {row}");
            }
        }
    }
    Ok(())
}

type Block = Box<dyn Fn(&Traced, &Pass) -> std::result::Result<Traced, Error>>;

/// Compares outputs and gradients of one block in every place.
///
/// The file's `after` tensors are not read: they repeat the running statistics before the step.
fn in_every_place(name: &str, rows: &[usize], build: impl Fn(&Parameters) -> Block) -> Result<()> {
    let fixture = Fixture::open("blocks")?;
    for place in places() {
        let tolerance = tolerance(&place);
        let parameters = parameters(&fixture, name, &place)?;
        let block = build(&parameters);
        let input = place.put(fixture.get(&format!("{name}.input")))?;
        let probe = place.put(fixture.get(&format!("{name}.probe")))?;
        let run = |pass: &Pass| block(&pass.leaf("input", input.clone()), pass).unwrap();
        let pass = Pass::training(rows.to_vec(), 0);

        let used = run(&Pass::inference(rows.to_vec()));
        let trained = run(&pass);
        let gradients = pass.into_tape().backward(vec![(trained.clone(), probe)]).unwrap();

        fixture.assert_close(&format!("{name}.eval.output"), &used.tensor, tolerance);
        fixture.assert_close(&format!("{name}.train.output"), &trained.tensor, tolerance);
        fixture.assert_close(&format!("{name}.grad.input"), &gradients["input"], tolerance);
        for parameter in parameters.trainable().keys() {
            // `unit.norm.gamma` has the gradient `unit.grad.norm.gamma`.
            let published = parameter.replacen(name, &format!("{name}.grad"), 1);
            fixture.assert_close(&published, &gradients[parameter], tolerance);
        }
    }
    Ok(())
}

/// The stored parameters of a block, under their names in the file.
fn parameters(fixture: &Fixture, block: &str, place: &Place) -> Result<Parameters> {
    let (mut trainable, mut statistics) = (BTreeMap::new(), BTreeMap::new());
    for name in fixture.tensors.keys().filter(|name| name.starts_with(&format!("{block}."))) {
        let part = &name[block.len() + 1..];
        let var = || Var::from_tensor(&place.put(fixture.get(name))?);
        if part.contains("grad") || part.contains("after") || part.contains("output") {
            continue;
        }
        if part.contains("running") {
            statistics.insert(name.clone(), var()?);
        } else if part != "input" && part != "probe" {
            trainable.insert(name.clone(), var()?);
        }
    }
    Ok(Parameters::from_parts(trainable, statistics))
}
