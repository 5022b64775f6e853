"""What each section of the report says: functions from the stages of a run to plain values for the templates."""
