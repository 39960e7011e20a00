"""Fields: coordinates to values. A module here takes the settings of its class in fields/configs/."""
