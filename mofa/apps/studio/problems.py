"""What can go wrong, in the words of the page: each sentence of ours that people meet, in both languages.

A sentence is known by its pattern; what its groups catch goes where {1}, {2} stand. Sentences that are not
listed are shown as they are, in Chinese behind a word that says so. No path and no option of the command line
is named.
"""

PROBLEMS: tuple[tuple[str, str, str], ...] = (
    (
        r"cannot be read|is damaged|is not a picture|no picture",
        "This file cannot be read: it is damaged, or not what its name says. Save or download it again.",
        "无法读取此文件：文件已损坏或类型不符，请重新保存或下载。",
    ),
    (
        r"is empty|holds no sound",
        "There is nothing in this file: choose another one.",
        "此文件是空的，请选择其他文件。",
    ),
    (
        r"cannot be \"([^\"]*)\": use (.*)\.$",
        "Files of the kind {1} cannot be used here: choose {2}.",
        "此处不能使用 {1} 文件，可用：{2}。",
    ),
    (
        r"is larger than (\d+) MB",
        "This file is larger than {1} MB: choose a smaller one.",
        "文件超过 {1} MB，请换小一些的。",
    ),
    (
        r"this photo has (\d+) x (\d+) pixels: make it smaller, at most ([\d.]+) million",
        "This photo has {1} × {2} pixels: make it smaller, {3} million at most.",
        "照片有 {1} × {2} 像素，过大；最多 {3} 百万像素。",
    ),
    (
        r"this photo has only (\d+) x (\d+)",
        "This photo has only {1} × {2} pixels: choose a larger one.",
        "照片只有 {1} × {2} 像素，请换大一些的。",
    ),
    (
        r"(?:longer|more) than ([\d.]+) ?s",
        "It lasts more than {1} seconds: cut it first.",
        "时长超过 {1} 秒，请先剪短。",
    ),
    (
        r"takes? too much room|take too much room",
        "Your files take too much room: begin a new visit.",
        "文件占用空间过多，请开始新的访问。",
    ),
    (
        r"jobs of yours are waiting",
        "Enough of your clips are waiting: cancel one, or wait.",
        "等待中的任务过多，请取消一个或稍候。",
    ),
    (r"upload it again", "This file is no longer here: choose it again.", "文件已不在这里，请重新选择。"),
    (
        r"there is no scene",
        "This scene is not here: it is another browser's, or older than a day.",
        "找不到此场景：它属于其他浏览器，或已超过一天。",
    ),
    (r"this visit is not known", "Reload the page to begin a new visit.", "请刷新页面以开始新的访问。"),
    (
        r"out of memory",
        "Not enough memory: choose a smaller size or fewer frames.",
        "内存不足：请减小尺寸或帧数。",
    ),
    (
        r"no face was found",
        "No face was found: a larger or more frontal one helps.",
        "没有找到人脸，请换更大或更正面的。",
    ),
    (
        r"pixels large, which is too small",
        "The face is too small: use a larger picture of it.",
        "人脸太小，请用更大的图片。",
    ),
    (
        r"mofa models download|weights? (?:is|are) missing|not on this machine",
        "Some model weights are missing on this machine: Download them in the settings.",
        "本机缺少模型权重：请在设置中下载。",
    ),
    (
        r"the scene needs the file \"([^\"]*)\"",
        "The scene needs the file {1}: open the zip that has it inside.",
        "场景需要文件 {1}：请打开包含它的 zip。",
    ),
    (
        r"this is not a scene|holds \d+ scenes",
        "This is not a scene: open one that was saved here.",
        "这不是场景文件，请打开由本页保存的场景。",
    ),
    (r"zip is damaged", "This zip is damaged: save the scene again.", "zip 文件已损坏，请重新保存场景。"),
    (
        r"something went wrong inside mofa",
        "Something went wrong inside mofa. Try again, and report it if it stays.",
        "mofa 内部出错，请重试；若仍出现请反馈。",
    ),
)
