"""Small robots as files."""

from pathlib import Path

LINK = '<link name="{name}"><inertial><mass value="1"/><inertia ixx="0.01" iyy="0.02" izz="0.03" ixy="0" ixz="0" \
iyz="0"/></inertial><visual><geometry><box size="0.04 0.06 0.2"/></geometry><material name="red"/></visual></link>'
JOINT = '<joint name="{name}" type="{type}"><parent link="{parent}"/><child link="{child}"/>\
<origin xyz="{xyz}" rpy="{rpy}"/><axis xyz="{axis}"/><limit lower="{low}" upper="{high}" effort="1" velocity="1"/>\
{more}</joint>'


def joint(name, parent, child, *, type="revolute", xyz="0 0 0.2", rpy="0 0 0", axis="0 1 0", low=-2, high=2, more=""):
    return JOINT.format(**locals())


def urdf(*parts: str) -> str:
    return f'<robot name="tiny"><material name="red"><color rgba="0.8 0.1 0.1 1"/></material>{"".join(parts)}</robot>'


def write_arm(folder: Path) -> Path:
    """Six hinges, a hand with two fingers of which one mimics the other, as real grippers have."""
    names = ["base", *(f"link{i}" for i in range(1, 7)), "left", "right"]
    axes = ["0 0 1", "0 1 0", "0 1 0", "1 0 0", "0 1 0", "0 0 1"]
    joints = [joint(f"joint{i + 1}", names[i], names[i + 1], axis=axis, rpy="0.1 0 0.2") for i, axis in enumerate(axes)]
    joints.append(joint("grip", "link6", "left", type="prismatic", axis="0 1 0", low=0, high=0.04))
    follow = '<mimic joint="grip" multiplier="1" offset="0"/>'
    joints.append(joint("follow", "link6", "right", type="prismatic", axis="0 -1 0", low=0, high=0.04, more=follow))
    path = folder / "arm.urdf"
    path.write_text(urdf(*(LINK.format(name=name) for name in names), *joints))
    return path


HOME = {"joint2": 0.5, "joint3": 0.7, "joint5": -0.6, "grip": 0.01}
