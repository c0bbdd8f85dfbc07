use super::*;
pub fn section() -> Result<(), Box<dyn Error>> {
    Ok(())
}
pub fn contestant(_case: &[&str], _who: &str) -> Result<Run, Box<dyn Error>> {
    Err("".into())
}
