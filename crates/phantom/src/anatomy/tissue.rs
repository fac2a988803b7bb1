//! What a point of the body is made of.

/// Tissues that differ in signal, in label, or in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tissue {
    Air,
    Skin,
    Fat,
    Muscle,
    Bone,
    Marrow,
    SpinalFluid,
    Lung,
    LungVessel,
    Liver,
    LiverVessel,
    Spleen,
    Stomach,
    Pericardium,
    VesselWall,
    LeftVentricle,
    /// Muscle inside the left cavity: papillary muscles and trabeculae, labelled as cavity.
    Papillary,
    Myocardium,
    Scar,
    /// The unperfused core of a large scar, dark in late enhancement.
    ScarCore,
    RightVentricle,
    /// Muscle inside the right cavity, labelled as cavity.
    RightTrabecula,
    RightWall,
    LeftAtrium,
    RightAtrium,
    AscendingAorta,
    /// Arch and descending aorta, coronary arteries: arterial blood that nobody labels.
    Artery,
    PulmonaryArtery,
    PulmonaryVein,
    /// Caval veins.
    Vein,
}

/// Short-axis label values of MS-CMRSeg; papillary muscles count as cavity.
pub(crate) fn short_axis_label(tissue: Tissue) -> u16 {
    match tissue {
        Tissue::Myocardium | Tissue::Scar | Tissue::ScarCore => 200,
        Tissue::LeftVentricle | Tissue::Papillary => 500,
        Tissue::RightVentricle | Tissue::RightTrabecula => 600,
        _ => 0,
    }
}

/// Label values of MM-WHS.
pub(crate) fn whole_heart_label(tissue: Tissue) -> u16 {
    match tissue {
        Tissue::Myocardium | Tissue::Scar | Tissue::ScarCore => 205,
        Tissue::LeftVentricle | Tissue::Papillary => 500,
        Tissue::RightVentricle | Tissue::RightTrabecula => 600,
        Tissue::LeftAtrium => 420,
        Tissue::RightAtrium => 550,
        Tissue::AscendingAorta => 820,
        Tissue::PulmonaryArtery => 850,
        _ => 0,
    }
}
