//! Experiments, training loop, checkpoints, inference and the data of reports.
//!
//! - [`Experiment`]: method × data set × schedule, from TOML files, every key resolved
//! - [`train`]: one run, from a folder of NIfTI files to a [`Summary`] of the test patients
//! - [`Grid`]: methods × data sets × seeds × folds, each cell a run folder
//! - [`Model`]: the file that a run leaves behind, and all that prediction needs
//! - [`FeatureStudy`]: how class-specific a run's features are, before and after training
//! - [`FilledTable`]: the tables of a [`Paper`], our numbers beside its own
//! - [`Observer`]: how a run tells what it does; nothing in this crate prints
//!
//! With the feature `cuda` runs and predictions take an NVIDIA card ([`Compute`]); with `cudnn` convolutions there are
//! cuDNN's, in f32, TF32 or bf16.
//!
//! # Sources
//!
//! - \[Chen2020\] J. Chen, W. Li, H. Li, J. Zhang, *Deep Class-Specific Affinity-Guided Convolutional
//!   Network for Multimodal Unpaired Image Segmentation*, MICCAI 2020, arXiv 2101.01513.
//! - \[Dou2020\] Q. Dou, Q. Liu, P. A. Heng, B. Glocker, *Unpaired Multi-modal Segmentation via
//!   Knowledge Distillation*, IEEE TMI 2020, arXiv 2001.03111.
#![forbid(unsafe_code)]

mod ahead;
mod bad_data;
mod card_memory;
mod cases;
mod checkpoint;
mod compute;
mod curve;
mod draw;
mod evaluation;
mod experiment;
mod features;
mod gradients;
mod grid;
mod inference;
mod log_file;
mod loss;
mod model_file;
mod network;
mod observer;
mod onnx;
mod postprocessing;
mod provenance;
mod run;
mod run_folder;
mod summary;
mod tables;
mod tensorboard;
mod trainer;
mod volumes;

pub use bad_data::BadData;
pub use candle_core::Device;
pub use compute::{Arithmetic, Compute};
pub use curve::LearningCurve;
pub use draw::DrawnBatch;
pub use duomo_ops::{
    cuda::{Precision, machine, set_precision},
    in_pool, keep_freed_memory,
};
pub use evaluation::{CaseScores, ClassScores};
pub use experiment::{
    Experiment, LossWeights, METHODS, Method, Network, Optimizer, PreparationChanges, SCHEDULES,
    Schedule, Sharing, SplitFractions, Transfer,
};
pub use features::{
    AffinityMatrices, ClassMap, ExampleMaps, FeatureStudy, FeatureTable, Layer, PairDistance,
    Specificity,
};
pub use gradients::GradientNorms;
pub use grid::{
    Cell, CellEvent, CellStatus, Estimate, EstimateSource, GRIDS, Grid, GridObserver, Variant,
    absolute_name, estimate, remove_stale_timings, run_cells, threads_per_job,
};
pub use inference::{
    Ensemble, Mirroring, Probabilities, Segmenter, segment, segment_automatically,
    segment_with_probabilities,
};
pub use loss::{ComingTerms, LossTerms, total_loss};
pub use model_file::{FORMAT, Model, ModelCard, Provenance};
pub use network::{ComingStep, TrainedNetwork};
pub use observer::{Event, Interrupted, Observer, Silent};
pub use onnx::onnx;
pub use postprocessing::{ClassRules, CommonRules, PostProcessing};
pub use provenance::{Program, data_hash};
pub use run::{AbsentClass, TrainRequest, train};
pub use run_folder::{Resume, RunFolder};
pub use summary::{ClassSummary, ModalitySummary, Statistic, Summary};
pub use tables::{
    AblationRow, AblationTable, Block, CountRow, Counts, FilledTable, Measure, MethodRuns, PAPERS,
    Paper, PaperTable, Printed, Row, Value, VariantRuns,
};
pub use volumes::{HeartFigure, StructureVolume, heart_figures, structure_volumes, voxel_mm3};
