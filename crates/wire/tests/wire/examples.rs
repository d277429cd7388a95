//! Examples over gRPC: what fits an input becomes its row, what does not is refused with its name.

use millrace_wire::protobuf::{ProtobufErrorKind, multi_inference_head, parse_examples};
use millrace_wire::{DType, Limits, Record, Signature, Tensor, TensorSpec};

/// A field of bytes, text or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    push_varint(&mut out, u64::try_from(content.len()).unwrap());
    out.extend_from_slice(content);
    out
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}

fn int64s(values: &[i64]) -> Vec<u8> {
    let mut packed = Vec::new();
    for value in values {
        push_varint(&mut packed, value.cast_unsigned());
    }
    field(3, &field(1, &packed))
}

fn floats(values: &[f32]) -> Vec<u8> {
    let packed: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
    field(2, &field(1, &packed))
}

fn texts(values: &[&[u8]]) -> Vec<u8> {
    field(
        1,
        &values
            .iter()
            .flat_map(|it| field(1, it))
            .collect::<Vec<_>>(),
    )
}

fn example(features: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entry = |(name, feature): &(&str, Vec<u8>)| {
        field(1, &[field(1, name.as_bytes()), field(2, feature)].concat())
    };
    field(1, &features.iter().flat_map(entry).collect::<Vec<_>>())
}

/// A request with these examples.
fn request(examples: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> = examples.iter().flat_map(|it| field(1, it)).collect();
    field(2, &field(1, &list))
}

/// The same with a context.
fn with_context(examples: &[Vec<u8>], context: &[u8]) -> Vec<u8> {
    let mut list: Vec<u8> = examples.iter().flat_map(|it| field(1, it)).collect();
    list.extend(field(2, context));
    field(2, &field(2, &list))
}

/// One input `x` of this type and these dimensions of a row.
fn x(dtype: DType, row: &[Option<usize>]) -> Signature {
    let mut shape = vec![None];
    shape.extend_from_slice(row);
    Signature {
        inputs: vec![TensorSpec {
            name: "x".to_owned(),
            dtype,
            shape,
        }],
        outputs: Vec::new(),
    }
}

#[track_caller]
fn taken(message: &[u8], signature: &Signature) -> Tensor {
    let record = parse_examples(message, signature, &Limits::default()).unwrap();
    Record::decode(record, &Limits::default())
        .unwrap()
        .tensor(0)
        .unwrap()
}

#[track_caller]
fn refused(message: &[u8], signature: &Signature, fragment: &str) {
    let error = parse_examples(message, signature, &Limits::default()).unwrap_err();
    let sentence = error.to_string();
    assert!(
        sentence.contains(fragment),
        "{fragment:?} is not in {sentence:?}"
    );
}

#[test]
fn integers_are_taken_in_the_range_of_their_input_and_not_beyond() {
    for (dtype, least, most) in [
        (DType::Bool, 0, 1),
        (DType::Int8, i64::from(i8::MIN), i64::from(i8::MAX)),
        (DType::Int16, i64::from(i16::MIN), i64::from(i16::MAX)),
        (DType::Int32, i64::from(i32::MIN), i64::from(i32::MAX)),
        (DType::Uint8, 0, i64::from(u8::MAX)),
        (DType::Uint16, 0, i64::from(u16::MAX)),
        (DType::Uint32, 0, i64::from(u32::MAX)),
        (DType::Uint64, 0, i64::MAX),
    ] {
        let signature = x(dtype, &[]);
        let one = |value| request(&[example(&[("x", int64s(&[value]))])]);
        for value in [least, most] {
            assert_eq!(
                taken(&one(value), &signature).shape(),
                [1],
                "{dtype} {value}"
            );
        }
        refused(&one(least - 1), &signature, "does not fit");
        if most < i64::MAX {
            let sentence = format!(
                "feature x in example 0 has {}, which does not fit {dtype}",
                most + 1
            );
            refused(&one(most + 1), &signature, &sentence);
        }
    }
}

#[test]
fn an_open_dimension_is_what_the_first_row_has() {
    let signature = x(DType::Float32, &[None, Some(2)]);
    let row = |count: usize| example(&[("x", floats(&vec![0.5; count]))]);
    assert_eq!(
        taken(&request(&[row(6), row(6)]), &signature).shape(),
        [2, 3, 2]
    );
    refused(
        &request(&[row(6), row(4)]),
        &signature,
        "x in example 1 has 4 elements",
    );
    refused(
        &request(&[row(5)]),
        &signature,
        "expected a row of shape [-1,2]",
    );
    let two_open = x(DType::Float32, &[None, None]);
    refused(&request(&[row(4)]), &two_open, "has 4 elements");
}

#[test]
fn the_kind_of_a_list_must_be_that_of_its_input() {
    let lists = [texts(&[b"a"]), floats(&[1.0]), int64s(&[1])];
    for (dtype, fitting) in [
        (DType::String, 0),
        (DType::Bytes, 0),
        (DType::Float32, 1),
        (DType::Float16, 1),
        (DType::Int32, 2),
        (DType::Bool, 2),
    ] {
        for (index, list) in lists.iter().enumerate() {
            let message = request(&[example(&[("x", list.clone())])]);
            match index == fitting {
                true => assert_eq!(taken(&message, &x(dtype, &[])).rows(), 1),
                false => refused(&message, &x(dtype, &[]), "takes"),
            }
        }
        let both = [lists[0].clone(), lists[1].clone()].concat();
        refused(
            &request(&[example(&[("x", both)])]),
            &x(dtype, &[]),
            "more than one list",
        );
    }
}

#[test]
fn a_feature_comes_once_for_each_row() {
    let signature = x(DType::Int64, &[]);
    let feature = || ("x", int64s(&[7]));
    let twice = request(&[example(&[feature(), feature()])]);
    refused(&twice, &signature, "duplicate feature x in example 0");
    let context = example(&[feature()]);
    let taken = taken(
        &with_context(&[Vec::new(), Vec::new()], &context),
        &signature,
    );
    assert_eq!(taken.typed::<i64>().unwrap(), [7, 7]);
    let both = with_context(&[example(&[feature()])], &context);
    refused(&both, &signature, "in example 0 and in the context");
}

#[test]
fn what_a_context_repeats_is_bounded() {
    let signature = x(DType::Bytes, &[None]);
    let context = example(&[("x", texts(&[&vec![b'a'; 1 << 10]]))]);
    let message = with_context(&vec![Vec::new(); 100], &context);
    let limits = |max_record_bytes| Limits {
        max_record_bytes,
        ..Limits::default()
    };
    assert!(parse_examples(&message, &signature, &limits(1 << 20)).is_ok());
    let error = parse_examples(&message, &signature, &limits(50 << 10)).unwrap_err();
    assert_eq!(error.kind(), ProtobufErrorKind::TooLarge);
    assert!(error.to_string().contains("of a record"), "{error}");
    // Nothing of this context is kept, and yet it is read again and again.
    let unknown = field(9, &vec![0; 1 << 20]);
    let context = [context, unknown].concat();
    let message = with_context(&vec![Vec::new(); 100], &context);
    refused(&message, &signature, "the context and its repetition");
}

#[test]
fn tasks_name_one_model_and_each_method_once() {
    let task = |model: &str, method: &str| {
        let method = format!("tensorflow/serving/{method}");
        field(
            1,
            &[
                field(1, &field(1, model.as_bytes())),
                field(2, method.as_bytes()),
            ]
            .concat(),
        )
    };
    let read = |tasks: &[Vec<u8>]| multi_inference_head(&tasks.concat());
    let both = read(&[task("m", "regress"), task("m", "classify")]).unwrap();
    assert_eq!(both.methods.len(), 2);
    for tasks in [
        vec![],
        vec![task("m", "predict")],
        vec![task("m", "regress"), task("m", "regress")],
        vec![task("m", "regress"), task("n", "classify")],
    ] {
        assert!(read(&tasks).is_err(), "{tasks:?}");
    }
}
