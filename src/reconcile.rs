//! Asks VOD about overdue transcodes, within a budget, before anybody is woken up.
//!
//! [`judge`] knows what the answers mean, [`budget`] how often VOD may be asked, [`callback`] whether callbacks go where
//! they are looked for; [`driver`] does the asking, and [`roster`] says for whom.

pub mod budget;
pub mod callback;
pub mod driver;
pub mod judge;
pub mod roster;
