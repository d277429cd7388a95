//! `[engine]`, or `engine = "…"`: what computes this model, and how.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::engine::EngineKind;
use crate::settings::{
    EngineSettings, OnnxSettings, OpenVinoHint, OpenVinoSettings, Optimization, Provider,
};

/// The section as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Section {
    #[serde(deserialize_with = "kind")]
    kind: Option<EngineKind>,
    threads: Option<usize>,
    instances: Option<usize>,
    providers: Option<Vec<Provider>>,
    onnx: OnnxChanges,
    openvino: OpenVinoChanges,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OnnxChanges {
    optimization: Option<Optimization>,
    spinning: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OpenVinoChanges {
    device: Option<String>,
    hint: Option<OpenVinoHint>,
    precision: Option<String>,
    streams: Option<usize>,
}

/// The section, or only the name of an engine.
#[derive(Debug, Default)]
pub(super) struct EngineChanges(Section);

impl EngineChanges {
    pub(super) fn kind(&self) -> Option<EngineKind> {
        self.0.kind
    }

    pub(super) fn over(self, general: &EngineSettings) -> EngineSettings {
        let Self(section) = self;
        EngineSettings {
            threads: section.threads.unwrap_or(general.threads),
            instances: section.instances.unwrap_or(general.instances),
            providers: section
                .providers
                .unwrap_or_else(|| general.providers.clone()),
            onnx: section.onnx.over(&general.onnx),
            openvino: section.openvino.over(&general.openvino),
            ..general.clone()
        }
    }
}

impl OnnxChanges {
    fn over(self, general: &OnnxSettings) -> OnnxSettings {
        OnnxSettings {
            library: general.library.clone(),
            custom_ops: general.custom_ops.clone(),
            optimization: self.optimization.unwrap_or(general.optimization),
            spinning: self.spinning.unwrap_or(general.spinning),
        }
    }
}

impl OpenVinoChanges {
    fn over(self, general: &OpenVinoSettings) -> OpenVinoSettings {
        OpenVinoSettings {
            library: general.library.clone(),
            device: self.device.unwrap_or_else(|| general.device.clone()),
            hint: self.hint.unwrap_or(general.hint),
            precision: self.precision.unwrap_or_else(|| general.precision.clone()),
            streams: self.streams.or(general.streams),
        }
    }
}

impl<'de> Deserialize<'de> for EngineChanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrSection;

        impl<'de> Visitor<'de> for NameOrSection {
            type Value = EngineChanges;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of an engine, or the section [engine]")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<EngineChanges, E> {
                Ok(EngineChanges(Section {
                    kind: Some(named(name)?),
                    ..Section::default()
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EngineChanges, A::Error> {
                Section::deserialize(MapAccessDeserializer::new(map)).map(EngineChanges)
            }
        }

        deserializer.deserialize_any(NameOrSection)
    }
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EngineKind>, D::Error> {
    named(&String::deserialize(deserializer)?).map(Some)
}

fn named<E: Error>(name: &str) -> Result<EngineKind, E> {
    let known: Vec<&str> = EngineKind::ALL.iter().map(|kind| kind.name()).collect();
    EngineKind::of(name).ok_or_else(|| {
        let known = known.join(", ");
        E::custom(format!("{name:?} is no engine; there are: {known}"))
    })
}
