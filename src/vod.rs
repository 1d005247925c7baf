//! What VOD's callbacks mean: the event catalogue, the decoder and whose fault an error code is.

pub mod decode;
pub mod event;
pub mod fault;
mod time;
