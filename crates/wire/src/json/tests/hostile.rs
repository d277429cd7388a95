//! Bodies cut anywhere and bodies with random changes: refused or read, never a panic, never much memory.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::slides::{BODY, nine_inputs};
use super::*;

fn seeds() -> Vec<(Signature, &'static str)> {
    vec![
        (nine_inputs(), BODY),
        (
            single(DType::Float32, &[2]),
            r#"{"signature_name":"s","instances":[[1.5,-2e3],[NaN,-Infinity]],"k":{"a":[1,null]}}"#,
        ),
        (
            single(DType::Uint8, &[-1, -1]),
            r#"{"inputs":[[[1,2],[3,255]],[[0,7],[10,9]]]}"#,
        ),
        (
            single(DType::Bytes, &[-1]),
            r#"{"instances":[[{"b64":"aGVsbG8="},"\ud83d\ude00\n"],["x",{"b64":"AA"}]]}"#,
        ),
        (
            signature(vec![
                input("a", DType::Bool, &[]),
                input("b", DType::Float16, &[1]),
            ]),
            r#"{"inputs":{"b":[[1],[2]],"a":[true,false]}}"#,
        ),
    ]
}

#[test]
fn a_body_cut_at_any_byte_is_refused() {
    for (model, body) in seeds() {
        accept(body, &model);
        for length in 0..body.len() {
            refuse(&body[..length], &model);
        }
    }
}

#[test]
fn a_hundred_thousand_mutations_never_panic_and_stay_small() {
    let seeds = seeds();
    let mut random = StdRng::seed_from_u64(4);
    let mut accepted = 0;
    for round in 0..100_000 {
        let (model, body) = &seeds[round % seeds.len()];
        let mut body = body.as_bytes().to_vec();
        for _ in 0..random.random_range(1..=3) {
            mutate(&mut body, &mut random);
        }
        match parse(&body, model) {
            Ok(request) => {
                accepted += 1;
                check_size(&request, body.len());
            }
            Err(error) => assert!(error.to_string().len() <= 512),
        }
    }
    assert!(
        accepted > 1000,
        "only {accepted} mutations were still good, so most paths were not reached"
    );
}

fn mutate(body: &mut Vec<u8>, random: &mut StdRng) {
    const TOKENS: [&[u8]; 16] = [
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\"",
        b"\\",
        b"-",
        b".",
        b"e",
        b"NaN",
        b"null",
        b"99999999999",
        b"\\ud800",
        b"\xff",
    ];
    let place = random.random_range(0..body.len());
    match random.random_range(0..5) {
        0 => body[place] = random.random(),
        1 => {
            body.remove(place);
        }
        2 => {
            let token = TOKENS[random.random_range(0..TOKENS.len())];
            body.splice(place..place, token.iter().copied());
        }
        3 => {
            let end = (place + random.random_range(1..40)).min(body.len());
            let copy = body[place..end].to_vec();
            let target = random.random_range(0..=body.len());
            body.splice(target..target, copy);
        }
        _ => {
            let digit = random.random_range(b'0'..=b'9');
            body[place] = digit;
        }
    }
    if body.is_empty() {
        body.push(b'{');
    }
}

fn check_size(request: &PredictRequest, body_bytes: usize) {
    for tensor in &request.tensors {
        let elements: usize = tensor.shape().iter().product();
        assert!(
            elements <= body_bytes / 2,
            "{elements} elements from {body_bytes} bytes"
        );
    }
}

#[test]
fn a_body_much_shorter_than_its_tensor_allocates_little() {
    // The signature promises a gigabyte of elements; the body holds three.
    let model = single(DType::Float64, &[1 << 27]);
    let limits = JsonLimits {
        max_elements: usize::MAX,
        ..JsonLimits::default()
    };
    let error = parse_predict(br#"{"instances":[[1,2,3]]}"#, &model, &limits).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("Expecting shape [134217728] but got: [3]"),
        "{error}"
    );
}
