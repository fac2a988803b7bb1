use super::*;
use crate::inference::tests::{model_of, preparation};

type Change = fn(&mut ModelCard);

#[test]
fn a_card_whose_parts_contradict_each_other_is_refused() {
    let tiny = Architecture { width: 1, blocks: [1; 8], ..Architecture::paper(4, 2) };
    let model = model_of(tiny, 1, preparation(16, None));
    let weights: BTreeMap<_, _> = model.networks()[0].parameters().to_tensors().unwrap();
    let weights = weights.into_iter().map(|(name, tensor)| (format!("0/{name}"), tensor)).collect();
    let refusals: [(Change, &str); 6] = [
        (|card| card.architectures.clear(), "0 architectures for 1 networks"),
        (|card| card.networks.clear(), "1 architectures for 0 networks"),
        (
            |card| (card.architectures, card.networks) = (vec![], vec![]),
            "0 architectures for 0 networks, expected one for each of at least one",
        ),
        (
            |card| card.labels.truncate(2),
            "network 0 of the card tells 4 classes apart, expected the background and the 2 labels",
        ),
        (|card| card.networks[0].truncate(1), "serves the modalities [0], expected 2 of 2"),
        (|card| card.networks[0][1] = 2, "serves the modalities [0, 2], expected 2 of 2"),
    ];
    for (change, expected) in refusals {
        let mut card = model.card.clone();
        change(&mut card);

        let error = Model::from_parts(card, &weights, &Device::Cpu).unwrap_err().to_string();

        assert!(error.contains(expected), "{error}");
        assert!(error.ends_with("take another copy of the model"), "{error}");
    }
    Model::from_parts(model.card, &weights, &Device::Cpu).unwrap();
}
