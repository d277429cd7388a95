//! The example body of the slides that this project started from: nine inputs of every dense kind.

use super::*;

pub(super) const BODY: &str = r#"{
 "instances" : [ {
   "intScalar" : 12345,
   "floatScalar" : 3.14159,
   "stringScalar": "hello, world. hello, arrow.",
   "intTensor" : [ 7756, 9549, 1094, 9808, 4959, 3831, 3926, 6578, 1870, 1741 ],
   "floatTensor" : [ 0.6804766, 0.30136853, 0.17394465, 0.44770062, 0.20275897, 0.32762378, 0.45966738, 0.30405 ],
   "stringTensor" : [ "come", "on", "united" ],
   "intTensor2" : [ [ 1, 2 ], [ 3, 4 ], [ 5, 6 ] ],
   "floatTensor2": [ [ [ 0.2, 0.3 ], [ 0.5, 0.6 ] ], [ [ 0.2, 0.3 ], [ 0.5, 0.6 ] ] ],
   "stringTensor2" : [ [ [ "come", "on", "united" ], [ "come", "on", "united" ], [ "come", "on", "united" ] ] ]
 }, {
   "intScalar" : 12345,
   "floatScalar" : 3.14159,
   "stringScalar": "hello, world. hello, arrow.",
   "intTensor": [ 7756, 9549, 1094, 9808, 4959, 3831, 3926, 6578, 1870, 1741 ],
   "floatTensor" : [ 0.6804766, 0.30136853, 0.17394465, 0.44770062, 0.20275897, 0.32762378, 0.45966738, 0.30405 ],
   "stringTensor" : [ "come", "on", "united" ],
   "intTensor2" : [ [ 1, 2 ], [ 3, 4 ], [ 5, 6 ] ],
   "floatTensor2": [ [ [ 0.2, 0.3 ], [ 0.5, 0.6 ] ], [ [ 0.2, 0.3 ], [ 0.5, 0.6 ] ] ],
   "stringTensor2" : [ [ [ "come", "on", "united" ], [ "come", "on", "united" ], [ "come", "on", "united" ] ] ]
 } ]
}"#;

pub(super) fn nine_inputs() -> Signature {
    signature(vec![
        input("intScalar", DType::Int32, &[]),
        input("floatScalar", DType::Float32, &[]),
        input("stringScalar", DType::String, &[]),
        input("intTensor", DType::Int64, &[10]),
        input("floatTensor", DType::Float32, &[-1]),
        input("stringTensor", DType::String, &[3]),
        input("intTensor2", DType::Int16, &[3, 2]),
        input("floatTensor2", DType::Float64, &[2, 2, 2]),
        input("stringTensor2", DType::String, &[-1, -1, 3]),
    ])
}

#[test]
fn the_slides_example_is_read_whole() {
    let request = accept(BODY, &nine_inputs());
    let shapes: Vec<&[usize]> = request
        .tensors
        .iter()
        .map(|tensor| tensor.shape())
        .collect();
    let expected: [&[usize]; 9] = [
        &[2],
        &[2],
        &[2],
        &[2, 10],
        &[2, 8],
        &[2, 3],
        &[2, 3, 2],
        &[2, 2, 2, 2],
        &[2, 1, 3, 3],
    ];
    assert_eq!(shapes, expected);
    assert_eq!(request.tensors[0].typed::<i32>().unwrap(), [12345, 12345]);
    assert_eq!(
        request.tensors[1].typed::<f32>().unwrap(),
        ["3.14159".parse::<f32>().unwrap(); 2]
    );
    assert_eq!(
        request.tensors[2].elements().unwrap().get(1),
        b"hello, world. hello, arrow."
    );
    assert_eq!(
        request.tensors[3].typed::<i64>().unwrap()[10..12],
        [7756, 9549]
    );
    assert_eq!(
        request.tensors[4].typed::<f32>().unwrap()[7..9],
        [0.30405, 0.680_476_6]
    );
    assert_eq!(
        request.tensors[6].typed::<i16>().unwrap()[..6],
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(
        request.tensors[7].typed::<f64>().unwrap()[..4],
        [0.2, 0.3, 0.5, 0.6]
    );
    assert_eq!(request.tensors[8].elements().unwrap().get(17), b"united");
}
