//! The signature that `model.toml` declares, beside the one that the model has.
//!
//! Names decide which belongs to which if the model has all of the declared names; otherwise the order does, since formats
//! such as TFLite name their inputs and outputs as nobody would.

use millrace_wire::{DType, Signature, TensorSpec};

use super::LoadError;

/// The model's signature, in its order, with the declared names and the stricter of both dimensions.
///
/// # Errors
/// [`LoadError::Declared`] where they differ in number, type or shape.
pub(super) fn agreed(model: &Signature, declared: &Signature) -> Result<Signature, LoadError> {
    Ok(Signature {
        inputs: agreed_list("inputs", &model.inputs, &declared.inputs)?,
        outputs: agreed_list("outputs", &model.outputs, &declared.outputs)?,
    })
}

fn agreed_list(
    role: &str,
    model: &[TensorSpec],
    declared: &[TensorSpec],
) -> Result<Vec<TensorSpec>, LoadError> {
    if declared.is_empty() {
        return Ok(model.to_vec());
    }
    if model.len() != declared.len() {
        return Err(LoadError::Declared {
            declared: format!("{} {role}", declared.len()),
            given: format!("{}", model.len()),
        });
    }
    let named = |name: &str| declared.iter().find(|declared| declared.name == name);
    let by_name = model.iter().all(|model| named(&model.name).is_some());
    let mut agreed = Vec::with_capacity(model.len());
    for (index, model) in model.iter().enumerate() {
        let found = if by_name {
            named(&model.name)
        } else {
            declared.get(index)
        };
        let Some(declared) = found else { continue };
        if model.dtype != declared.dtype || !fits(&model.shape, &declared.shape) {
            return Err(LoadError::Declared {
                declared: described(&declared.name, declared.dtype, &declared.shape),
                given: described(&model.name, model.dtype, &model.shape),
            });
        }
        let dimension = |index: usize, size: &Option<usize>| {
            size.or(declared.shape.get(index).copied().flatten())
        };
        let shape = if model.shape.is_empty() {
            declared.shape.clone()
        } else {
            // Whether any number of rows runs at once is the model's to say.
            let rows = model.shape.first().copied();
            let rest = model.shape.iter().enumerate().skip(1);
            rows.into_iter()
                .chain(rest.map(|(index, size)| dimension(index, size)))
                .collect()
        };
        agreed.push(TensorSpec {
            name: declared.name.clone(),
            dtype: declared.dtype,
            shape,
        });
    }
    Ok(agreed)
}

/// Whether two shapes can be the same; the rows are not compared, and an empty shape is unknown.
fn fits(model: &[Option<usize>], declared: &[Option<usize>]) -> bool {
    let same = |(model, declared): (&Option<usize>, &Option<usize>)| {
        model.is_none() || declared.is_none() || model == declared
    };
    model.is_empty()
        || model.len() == declared.len() && model.iter().zip(declared).skip(1).all(same)
}

/// Such as `image FP32[-1,8,8]`.
pub(super) fn described(name: &str, dtype: DType, shape: &[Option<usize>]) -> String {
    let sizes: Vec<String> = shape
        .iter()
        .map(|size| size.map_or_else(|| "-1".to_owned(), |size| size.to_string()))
        .collect();
    format!("{name} {dtype}[{}]", sizes.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(name: &str, shape: &[Option<usize>]) -> Signature {
        let spec = TensorSpec {
            name: name.to_owned(),
            dtype: DType::Float32,
            shape: shape.to_vec(),
        };
        Signature {
            inputs: vec![spec],
            outputs: Vec::new(),
        }
    }

    #[test]
    fn names_come_from_model_toml_and_the_rows_from_the_model() {
        let model = signature("x:0", &[Some(1), None, Some(3)]);
        let declared = signature("image", &[None, Some(2), None]);
        let agreed = agreed(&model, &declared).unwrap();
        assert_eq!(agreed.inputs[0].name, "image");
        assert_eq!(agreed.inputs[0].shape, [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn names_that_the_model_has_may_be_declared_in_any_order() {
        let both = |first: &str, second: &str| {
            let mut both = signature(first, &[None]);
            both.inputs.extend(signature(second, &[None]).inputs);
            both
        };
        let names = |declared| {
            let agreed = agreed(&both("a", "b"), &declared).unwrap().inputs;
            Vec::from_iter(agreed.into_iter().map(|input| input.name))
        };
        assert_eq!(names(both("b", "a")), ["a", "b"]);
        assert_eq!(names(both("b", "c")), ["b", "c"]);
    }

    #[test]
    fn another_shape_type_or_number_is_refused_with_both() {
        let model = signature("x:0", &[None, Some(3)]);
        let error = agreed(&model, &signature("image", &[None, Some(4)]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("image FP32[-1,4]") && error.contains("x:0 FP32[-1,3]"),
            "{error}"
        );
        let mut two = signature("image", &[None, Some(3)]);
        two.inputs.push(two.inputs[0].clone());
        let error = agreed(&model, &two).unwrap_err().to_string();
        assert!(error.contains("2 inputs"), "{error}");
        let mut other = signature("image", &[None, Some(3)]);
        other.inputs[0].dtype = DType::Int64;
        assert!(agreed(&model, &other).is_err());
    }
}
