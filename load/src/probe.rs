//! Requests that are prepared beforehand, each with its right answer.

use anyhow::{Context as _, ensure};
use millrace_openloop::{Request, Response};
use serde::Deserialize;

use crate::line::MODEL;
use crate::reference::{Answer, Reference, agrees};
use crate::rows;

/// Different requests; each is sent again and again.
pub const REQUESTS: u64 = 256;

/// A request and its right answer.
pub struct Probe {
    /// The request.
    pub request: Request,
    answer: Answer,
}

#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Vec<f32>>,
}

impl Probe {
    /// As many as there are different requests.
    ///
    /// # Errors
    /// When the model fails.
    pub fn all(reference: &mut Reference) -> anyhow::Result<Vec<Self>> {
        let path = format!("/v1/models/{MODEL}:predict");
        let answers = reference.answers(REQUESTS)?.answers;
        let probe = |(id, answer)| Self {
            request: Request::post(&path, &rows::json(id)),
            answer,
        };
        Ok((0..REQUESTS).zip(answers).map(probe).collect())
    }

    /// Fails unless the response is the right answer.
    ///
    /// # Errors
    /// Quotes the server.
    pub fn check(&self, response: &Response<'_>) -> anyhow::Result<()> {
        let text = || String::from_utf8_lossy(response.body);
        ensure!(
            response.status == 200,
            "HTTP {}: {}",
            response.status,
            text()
        );
        let body: Predictions =
            serde_json::from_slice(response.body).with_context(|| text().into_owned())?;
        let [given] = body.predictions.as_slice() else {
            anyhow::bail!("not one prediction: {}", text())
        };
        ensure!(
            agrees(given, &self.answer),
            "the answer is {given:?}, ONNX Runtime says {:?}",
            self.answer
        );
        Ok(())
    }
}

/// Which of the different requests the one of this number is.
#[must_use]
pub fn index(number: u64) -> usize {
    usize::try_from(number % REQUESTS).expect("the number of requests fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_and_refusals_are_errors_that_quote_the_server() {
        let answer = [0.1; rows::CLASSES];
        let probe = Probe {
            request: Request::get("/"),
            answer,
        };
        let right = format!("{{\"predictions\": [{:?}]}}", [0.1; rows::CLASSES]);
        probe
            .check(&Response {
                status: 200,
                body: right.as_bytes(),
            })
            .unwrap();
        let wrong = format!("{{\"predictions\": [{:?}]}}", [0.2; rows::CLASSES]);
        let error = probe
            .check(&Response {
                status: 200,
                body: wrong.as_bytes(),
            })
            .unwrap_err();
        assert!(error.to_string().contains("ONNX Runtime says"), "{error}");
        let error = probe
            .check(&Response {
                status: 503,
                body: b"{\"error\": \"too much\"}",
            })
            .unwrap_err();
        assert!(
            error.to_string().contains("503") && error.to_string().contains("too much"),
            "{error}"
        );
    }
}
