"""Fields: coordinates to values. A module takes the settings of its class in fields/configs/."""
