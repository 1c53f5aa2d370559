"""Ropes, cloths and soft bodies of the oracle: MuJoCo's flexes, recorded node by node."""
