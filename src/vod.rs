//! What VOD's callbacks mean: the event catalogue, the decoder, whose fault an error code is, and VOD's API.

pub mod api;
pub mod decode;
pub mod event;
pub mod fault;
mod time;
