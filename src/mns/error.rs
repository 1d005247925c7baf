//! TODO-room.
