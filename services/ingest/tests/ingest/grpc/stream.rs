//! `ModelStreamInfer`: answers in the order of the requests, errors inside the stream.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use millrace_wire::{Limits, Record};
use tonic::Code;

use super::proto::inference::{ModelInferRequest, ModelStreamInferResponse};
use super::{client, floats, good, run};
use crate::client::get;
use crate::played::{Asked, echo, model_m};
use crate::scene::{Scene, shared};

fn numbered(number: u16) -> ModelInferRequest {
    let mut request = good();
    request.inputs = vec![floats(&[1, 4], &[f32::from(number), 0.0, 0.0, 0.0])];
    request.id = number.to_string();
    request
}

/// The number that a request carries.
fn first_element(asked: &Asked) -> f32 {
    let value = asked.record.value.clone().unwrap();
    let record = Record::decode(value, &Limits::default()).unwrap();
    record.tensor(0).unwrap().typed::<f32>().unwrap()[0]
}

fn number_of(response: &ModelStreamInferResponse) -> f32 {
    let answer = response.infer_response.as_ref().unwrap();
    answer.outputs[0].contents.as_ref().unwrap().fp32_contents[0]
}

#[test]
fn many_requests_of_one_stream_are_answered_in_their_order() {
    let scene = shared();
    let answers = run(async {
        let requests = tokio_stream::iter((0..500).map(numbered));
        let mut stream = client(scene.grpc)
            .await
            .model_stream_infer(requests)
            .await
            .unwrap()
            .into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = stream.message().await.unwrap() {
            answers.push(answer);
        }
        answers
    });
    assert_eq!(answers.len(), 500);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.error_message, "");
        assert_eq!(
            answer.infer_response.as_ref().unwrap().id,
            number.to_string()
        );
        assert_eq!(number_of(answer), f32::from(u16::try_from(number).unwrap()));
    }
}

#[test]
fn answers_that_come_in_another_order_wait_for_the_one_before_them() {
    let scene = Scene::start(|_| {});
    // The first question of the stream is answered last, whichever of them infer reads first.
    let kept = Mutex::new(None);
    let count = AtomicUsize::new(0);
    scene.serve(&model_m(), move |asked| {
        if first_element(asked) == 0.0 {
            *kept.lock().unwrap() = Some(echo(asked));
        }
        let own = match first_element(asked) == 0.0 {
            true => Vec::new(),
            false => echo(asked),
        };
        match count.fetch_add(1, Ordering::SeqCst) {
            4 => [own, kept.lock().unwrap().take().unwrap()].concat(),
            _ => own,
        }
    });
    scene.wait_ready();
    let numbers = run(async {
        let requests = tokio_stream::iter((0..5).map(numbered));
        let mut stream = client(scene.grpc)
            .await
            .model_stream_infer(requests)
            .await
            .unwrap()
            .into_inner();
        let mut numbers = Vec::new();
        while let Some(answer) = stream.message().await.unwrap() {
            numbers.push(number_of(&answer));
        }
        numbers
    });
    assert_eq!(numbers, [0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_request_that_fails_gets_its_message_and_the_stream_lives_on() {
    let scene = shared();
    let mut unknown = numbered(1);
    unknown.model_name = "unknown".to_owned();
    let mut ragged = numbered(2);
    ragged.inputs[0].shape = vec![1, 3];
    let requests = vec![numbered(0), unknown, ragged, numbered(3)];
    let answers = run(async {
        let stream = client(scene.grpc)
            .await
            .model_stream_infer(tokio_stream::iter(requests))
            .await;
        let mut stream = stream.unwrap().into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = stream.message().await.unwrap() {
            answers.push(answer);
        }
        answers
    });
    let errors: Vec<_> = answers.iter().map(|it| it.error_message.as_str()).collect();
    assert_eq!((errors[0], errors[3]), ("", ""));
    assert!(errors[1].contains("Servable not found"), "{}", errors[1]);
    assert!(errors[2].contains('x'), "{}", errors[2]);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(
            answer.infer_response.as_ref().unwrap().id,
            number.to_string()
        );
    }
}

#[test]
fn a_stream_is_worked_on_with_a_bound_and_its_end_frees_every_place() {
    let scene = Scene::start(|settings| settings.request_timeout = Duration::from_secs(600));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    scene.serve(&model_m(), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Vec::new()
    });
    scene.wait_ready();
    let pending = |count: u32| format!("millrace_ingest_pending {count}\n");
    run(async {
        let requests = tokio_stream::iter((0..100).map(numbered));
        let stream = client(scene.grpc)
            .await
            .model_stream_infer(requests)
            .await
            .unwrap();
        while asked.load(Ordering::SeqCst) < 16 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(get(scene.address, "/metrics").text().contains(&pending(16)));
        drop(stream);
        // The connection ends with its runtime; before that the call is reset.
        tokio::task::yield_now().await;
    });
    scene.wait_answer("/metrics", |answer| answer.text().contains(&pending(0)));
    assert_eq!(asked.load(Ordering::SeqCst), 16);
}

#[test]
fn the_deadline_of_a_stream_ends_it() {
    let scene = Scene::start(|_| {});
    scene.serve(&model_m(), echo);
    scene.wait_ready();
    let status = run(async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut request = tonic::Request::new(requests);
        request.set_timeout(Duration::from_secs(2));
        sender.send(numbered(0)).await.unwrap();
        let stream = client(scene.grpc).await.model_stream_infer(request).await;
        let mut stream = stream.unwrap().into_inner();
        assert_eq!(number_of(&stream.message().await.unwrap().unwrap()), 0.0);
        stream.message().await.unwrap_err()
    });
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[test]
fn a_stream_that_is_open_when_the_process_stops_gets_its_answers_and_an_end() {
    let mut scene = Scene::start(|_| {});
    let (sender, asked) = mpsc::channel();
    scene.serve(&model_m(), move |it| {
        sender.send(echo(it)).unwrap();
        Vec::new()
    });
    scene.wait_ready();
    let (shutdown, producer) = (scene.shutdown.clone(), scene.producer.clone());
    let answering = std::thread::spawn(move || {
        let replies = asked.recv().unwrap();
        shutdown.trigger();
        for reply in replies {
            producer.send(reply, |_| {}).unwrap();
        }
    });
    let status = run(async {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
        sender.send(numbered(7)).await.unwrap();
        let stream = client(scene.grpc).await.model_stream_infer(requests).await;
        let mut stream = stream.unwrap().into_inner();
        assert_eq!(number_of(&stream.message().await.unwrap().unwrap()), 7.0);
        stream.message().await.unwrap_err()
    });
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("stopping"), "{status:?}");
    answering.join().unwrap();
    scene.stop().unwrap();
}
