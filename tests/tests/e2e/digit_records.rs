//! Digit images as Arrow records.

use std::ops::Range;

use arrow::buffer::Buffer;
use e2e::{Feed, Line, digits};
use millrace_wire::{DType, Tensor, encode_tensors};

/// One image, one row; the images repeat.
pub(crate) fn image_record(index: usize) -> Vec<u8> {
    images_record(index, 1)
}

/// Consecutive images in one record.
pub(crate) fn images_record(first: usize, rows: usize) -> Vec<u8> {
    let images = &digits().images;
    let pixels: Vec<f32> = (first..first + rows)
        .flat_map(|index| images[index % images.len()])
        .map(f32::from)
        .collect();
    let tensor = Tensor::fixed(
        "image",
        DType::Float32,
        vec![rows, 8, 8],
        Buffer::from_vec(pixels),
    );
    encode_tensors(&[tensor.expect("64 pixels a row")]).expect("a tensor encodes")
}

/// Sends single images to the digits model, with their number as id.
pub(crate) fn send_images(line: &Line, numbers: Range<usize>) {
    let feed = Feed::new(line, "requests.digits");
    for index in numbers {
        feed.send(
            None,
            Some(image_record(index)),
            &[("mr-id", &index.to_string())],
        );
    }
    feed.flush();
}
