//! Files to shared arrays and back.
