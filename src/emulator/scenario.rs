//! A simulated video platform.
