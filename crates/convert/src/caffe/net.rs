//! A network as its text says it: the layers that run at inference, with old forms made new.

use super::text::{self, Message};
use crate::error::{LayerResult, Problem};

const MAX_LAYERS: usize = 20_000;

/// A network: inputs and the layers that run at inference, in their order.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) inputs: Vec<Input>,
    pub(super) layers: Vec<Layer>,
}

#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) sizes: Vec<u64>,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: String,
    /// Its kind under today's name.
    pub(super) kind: String,
    pub(super) bottoms: Vec<String>,
    pub(super) tops: Vec<String>,
    pub(super) message: Message,
}

/// A problem, with name and kind of the layer that has it.
#[derive(Debug)]
pub(super) struct At {
    pub(super) layer: Option<(String, String)>,
    pub(super) problem: Problem,
}

impl From<Problem> for At {
    fn from(problem: Problem) -> Self {
        Self {
            layer: None,
            problem,
        }
    }
}

/// What a network is made for, against which the rules of layers are held.
struct State<'a> {
    level: i64,
    stages: Vec<&'a str>,
}

impl Net {
    pub(super) fn read(net: &Message) -> Result<Self, At> {
        if net.has("net") || net.has("train_net") || net.has("base_lr") {
            let what = "it is the settings of a solver; the file with the layers is needed";
            return Err(Problem::Misfit(what.to_owned()).into());
        }
        let state = state(net)?;
        let mut inputs = old_inputs(net)?;
        let mut layers = Vec::new();
        let (new, old) = (net.messages("layer")?, net.messages("layers")?);
        if !new.is_empty() && !old.is_empty() {
            let what = "it has both layer and layers; Caffe's upgrade_net_proto_text makes it one";
            return Err(Problem::Misfit(what.to_owned()).into());
        }
        if new.len() + old.len() > MAX_LAYERS {
            let what = format!("it has more than {MAX_LAYERS} layers");
            return Err(Problem::Misfit(what).into());
        }
        for message in new.into_iter().chain(old) {
            let name = message.word("name").ok().flatten().unwrap_or_default();
            let kind = message.word("type").ok().flatten().unwrap_or_default();
            let at = |problem| At {
                layer: Some((name.to_owned(), kind.to_owned())),
                problem,
            };
            if !runs(message, &state).map_err(at)? {
                continue;
            }
            let layer = layer(message).map_err(at)?;
            match layer.kind.as_str() {
                "Input" => inputs.extend(input_layer(&layer).map_err(at)?),
                _ => layers.push(layer),
            }
        }
        if inputs.is_empty() {
            let what = "it has no input; a deploy.prototxt has a layer of type Input, or input and input_dim";
            return Err(Problem::Misfit(what.to_owned()).into());
        }
        Ok(Self { inputs, layers })
    }
}

fn state(net: &Message) -> LayerResult<State<'_>> {
    let state = net.message("state")?.unwrap_or(&text::EMPTY);
    if state
        .word("phase")?
        .is_some_and(|phase| phase != "TEST" && phase != "1")
    {
        return Err(Problem::Misfit(
            "its state is the phase TRAIN; only TEST can be served".to_owned(),
        ));
    }
    Ok(State {
        level: state.integer("level")?.unwrap_or(0),
        stages: state.texts("stage")?,
    })
}

/// Whether the layer is there at inference.
fn runs(layer: &Message, state: &State<'_>) -> LayerResult<bool> {
    let (include, exclude) = (layer.messages("include")?, layer.messages("exclude")?);
    if !include.is_empty() && !exclude.is_empty() {
        return Err(Problem::Misfit(
            "it has both include and exclude".to_owned(),
        ));
    }
    let met = |rules: &[&Message]| -> LayerResult<bool> {
        for rule in rules {
            if meets(rule, state)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    Ok(match include.is_empty() {
        true => !met(&exclude)?,
        false => met(&include)?,
    })
}

fn meets(rule: &Message, state: &State<'_>) -> LayerResult<bool> {
    let phase = rule
        .word("phase")?
        .is_none_or(|phase| phase == "TEST" || phase == "1");
    let above = rule
        .integer("min_level")?
        .is_none_or(|least| state.level >= least);
    let below = rule
        .integer("max_level")?
        .is_none_or(|most| state.level <= most);
    let all = rule
        .texts("stage")?
        .iter()
        .all(|stage| state.stages.contains(stage));
    let none = !rule
        .texts("not_stage")?
        .iter()
        .any(|stage| state.stages.contains(stage));
    Ok(phase && above && below && all && none)
}

fn layer(message: &Message) -> LayerResult<Layer> {
    if message.has("layer") {
        let what = "layers inside layers (Caffe's first format); Caffe's upgrade_net_proto_text makes it new";
        return Err(Problem::Unsupported(what.to_owned()));
    }
    let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
    let kind = message
        .word("type")?
        .ok_or_else(|| Problem::Misfit("it has no type".to_owned()))?;
    Ok(Layer {
        name: message.word("name")?.unwrap_or_default().to_owned(),
        kind: kind_today(kind).to_owned(),
        bottoms: owned(message.texts("bottom")?),
        tops: owned(message.texts("top")?),
        message: message.clone(),
    })
}

/// Kinds in capitals are those of the old `layers`.
fn kind_today(kind: &str) -> &str {
    match kind {
        "ABSVAL" => "AbsVal",
        "ACCURACY" => "Accuracy",
        "ARGMAX" => "ArgMax",
        "BNLL" => "BNLL",
        "CONCAT" => "Concat",
        "CONVOLUTION" => "Convolution",
        "DATA" => "Data",
        "DECONVOLUTION" => "Deconvolution",
        "DROPOUT" => "Dropout",
        "ELTWISE" => "Eltwise",
        "EXP" => "Exp",
        "FLATTEN" => "Flatten",
        "IMAGE_DATA" => "ImageData",
        "INNER_PRODUCT" => "InnerProduct",
        "LRN" => "LRN",
        "MEMORY_DATA" => "MemoryData",
        "POOLING" => "Pooling",
        "POWER" => "Power",
        "RELU" => "ReLU",
        "SIGMOID" => "Sigmoid",
        "SILENCE" => "Silence",
        "SLICE" => "Slice",
        "SOFTMAX" => "Softmax",
        "SOFTMAX_LOSS" => "SoftmaxWithLoss",
        "SPLIT" => "Split",
        "TANH" => "TanH",
        other => other,
    }
}

/// `input: "data" input_dim: 1 …` and `input: "data" input_shape { … }`
fn old_inputs(net: &Message) -> LayerResult<Vec<Input>> {
    let names = net.texts("input")?;
    let dims = net.wholes("input_dim")?;
    let shapes: Vec<Vec<u64>> = match dims.is_empty() {
        false => dims.chunks(4).map(<[u64]>::to_vec).collect(),
        true => shapes(net, "input_shape")?,
    };
    if shapes.len() != names.len() || (!dims.is_empty() && dims.len() != 4 * names.len()) {
        return Err(Problem::Misfit(format!(
            "it has {} inputs and sizes for {}",
            names.len(),
            shapes.len()
        )));
    }
    let both = names.into_iter().zip(shapes);
    Ok(both
        .map(|(name, sizes)| Input {
            name: name.to_owned(),
            sizes,
        })
        .collect())
}

fn input_layer(layer: &Layer) -> LayerResult<Vec<Input>> {
    let none =
        Problem::Misfit("it says no shape; give it input_param { shape { dim: … } }".to_owned());
    let shapes = match layer.message.message("input_param")? {
        Some(param) => shapes(param, "shape")?,
        None => return Err(none),
    };
    // One shape is that of all.
    if shapes.len() != layer.tops.len() && shapes.len() != 1 {
        return Err(none);
    }
    let shapes = shapes.iter().cycle();
    let both = layer.tops.iter().zip(shapes);
    Ok(both
        .map(|(name, sizes)| Input {
            name: name.clone(),
            sizes: sizes.clone(),
        })
        .collect())
}

fn shapes(message: &Message, name: &str) -> LayerResult<Vec<Vec<u64>>> {
    message
        .messages(name)?
        .iter()
        .map(|shape| shape.wholes("dim"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Result<Net, At> {
        Net::read(&Message::parse(text).unwrap())
    }

    fn kinds(text: &str) -> Vec<String> {
        let text = format!("input: 'x' input_shape {{ dim: 1 }} {text}");
        net(&text)
            .unwrap()
            .layers
            .into_iter()
            .map(|layer| layer.kind)
            .collect()
    }

    #[test]
    fn each_form_of_inputs_is_read() {
        for text in [
            "input: 'x' input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 5",
            "input: 'x' input_shape { dim: 1 dim: 3 dim: 4 dim: 5 }",
            "layer { type: 'Input' top: 'x' input_param { shape { dim: [1, 3, 4, 5] } } }",
        ] {
            let net = net(text).unwrap();
            assert_eq!(
                (net.inputs[0].name.as_str(), net.inputs[0].sizes.as_slice()),
                ("x", &[1, 3, 4, 5][..])
            );
        }
        for text in [
            "",
            "input: 'x'",
            "input: 'x' input_dim: 3",
            "layer { type: 'Input' top: 'x' }",
            "base_lr: 1",
        ] {
            assert!(net(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rules_say_which_layers_run() {
        let with = |rule: &str| kinds(&format!("layer {{ type: 'ReLU' {rule} }}")).len();
        for (rule, there) in [
            ("", 1),
            ("include { phase: TEST }", 1),
            ("include { phase: TRAIN }", 0),
            ("include { phase: TRAIN } include { phase: TEST }", 1),
            ("exclude { phase: TRAIN }", 1),
            ("exclude { phase: TEST }", 0),
            ("include { stage: 'deploy' }", 0),
            ("include { not_stage: 'deploy' }", 1),
            ("include { min_level: 1 }", 0),
            ("include { max_level: 0 }", 1),
        ] {
            assert_eq!(with(rule), there, "{rule}");
        }
        let state = "state { stage: 'deploy' level: 1 } layer { type: 'ReLU' include { stage: 'deploy' min_level: 1 } }";
        assert_eq!(kinds(state).len(), 1);
    }

    #[test]
    fn old_kinds_have_todays_names() {
        assert_eq!(
            kinds("layers { type: INNER_PRODUCT } layers { type: RELU }"),
            ["InnerProduct", "ReLU"]
        );
        assert!(
            net("input: 'x' input_shape { dim: 1 } layers { layer { type: 'conv' } }").is_err()
        );
    }
}
