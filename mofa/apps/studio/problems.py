"""What can go wrong, in the words of the page: by the key of an error, in English and Chinese.

`{name}` stands for that value of the error. No path and no option of the command line is named.
"""

_PAIRS = {
    # --- the server ---
    "internal": (
        "Something went wrong inside mofa. Try again, and report it if it stays.",
        "mofa 内部出错，请重试；若仍出现请反馈。",
    ),
    "memory": (
        "Not enough memory: choose a smaller size or fewer frames.",
        "内存不足：请减小尺寸或帧数。",
    ),
    "page.old": ("This page is older than its server: reload it.", "页面版本过旧，请刷新。"),
    "address.unknown": (
        "This server is not known by that name: use the address that it printed.",
        "服务器不认识此名称，请使用它显示的地址。",
    ),
    "address.foreign": (
        "Another site asked for that: open the studio itself.",
        "请求来自其他网站，请直接打开工作室。",
    ),
    "login.needed": ("Reload the page, and give the name and password.", "请刷新页面并输入用户名和密码。"),
    "login.wait": ("Too many wrong passwords: wait some minutes.", "密码错误次数过多，请等几分钟。"),
    "install.damaged": (
        "A file of this server's installation is missing: install mofa again.",
        "服务器的安装缺少文件，请重新安装 mofa。",
    ),
    "memory.process": (
        "The process on {name} has ended, probably for want of memory: leave it out of the devices.",
        "{name} 上的进程已结束，可能内存不足：请从设备中去掉它。",
    ),
    "device.unknown": (
        "There is no device {name}: write cpu, cuda, cuda:1 or mps.",
        "没有设备 {name}：请填 cpu、cuda、cuda:1 或 mps。",
    ),
    "offload.device": (
        "Streaming needs a CUDA device, and this is {name}: choose another offload.",
        "逐层卸载需要 CUDA 设备，而这是 {name}：请选择其他卸载方式。",
    ),
    "attention.missing": (
        "The attention kernel {name} is not installed here: choose sdpa.",
        "此处没有安装注意力内核 {name}：请选择 sdpa。",
    ),
    "memory.budget": (
        "This takes about {needed} GB of memory, and there are {most} GB: choose a smaller size.",
        "这大约需要 {needed} GB 内存，而此处只有 {most} GB：请减小尺寸。",
    ),
    "jobs.yours": (
        "Enough of your clips are waiting: cancel one, or wait.",
        "等待中的任务过多，请取消一个或稍候。",
    ),
    "jobs.address": ("Too many clips are waiting here: try again later.", "等待中的任务过多，请稍后再试。"),
    "job.unknown": ("This clip is not known any more: start it again.", "找不到此任务，请重新开始。"),
    "visit.unknown": ("Reload the page to begin a new visit.", "请刷新页面以开始新的访问。"),
    "room.full": (
        "Your files take too much room: begin a new visit.",
        "文件占用空间过多，请开始新的访问。",
    ),
    "link.gone": (
        "This link leads nowhere any more: clips are kept for a day.",
        "链接已失效：视频只保留一天。",
    ),
    "disk.full": (
        "The disk is too full: this takes {needed} MB, and {free} MB are free.",
        "磁盘空间不足：需要 {needed} MB，剩余 {free} MB。",
    ),
    "disk.weights": (
        "The disk is too full for the weights: {needed} are needed, {free} are free.",
        "磁盘空间不足以存放权重：需要 {needed}，剩余 {free}。",
    ),
    "disk.write": (
        "A file could not be written on this server: its disk is full, or closed to it.",
        "服务器无法写入文件：磁盘已满或不可写。",
    ),
    "disk.home": ("The disk for model weights is full: free some space.", "存放权重的磁盘已满，请清理空间。"),
    "device.none": (
        "This machine has no {name}: choose another device in the settings.",
        "本机没有 {name}，请在设置中选择其他设备。",
    ),
    "device.float16": (
        "float16 is too slow on this machine: choose bfloat16 in the settings.",
        "float16 在本机太慢，请在设置中选择 bfloat16。",
    ),
    "packages.missing": (
        "This server lacks the packages for that: choose the warp renderer.",
        "服务器缺少所需的软件包，请选择 warp 渲染器。",
    ),
    "faces.extra": ("This server cannot find faces: a package is missing.", "服务器缺少人脸检测软件包。"),
    # --- weights ---
    "weights.missing": (
        "Some model weights are missing on this machine: download them in the settings.",
        "本机缺少模型权重：请在设置中下载。",
    ),
    "weights.other": (
        "Weights on this machine are damaged or others than expected: download them again in the settings.",
        "本机的模型权重已损坏或不匹配：请在设置中重新下载。",
    ),
    "weights.basel": (
        "SadTalker needs the Basel Face Model, which nobody may pass on: choose another driver.",
        "SadTalker 需要 Basel 人脸模型，该模型不得转发：请选择其他驱动。",
    ),
    "download.unreachable": (
        "{name} could not be downloaded: try again later.",
        "无法下载 {name}，请稍后再试。",
    ),
    "download.damaged": ("{name} arrived damaged: download it again.", "{name} 下载后损坏，请重新下载。"),
    "download.gone": ("{name} is no longer where it was published.", "{name} 的下载地址已失效。"),
    "download.version": (
        "{name} is published in another version than the one fetched here before.",
        "{name} 发布的版本与之前下载的不同。",
    ),
    "download.closed": (
        "{name} needs an account that has accepted its terms.",
        "下载 {name} 需要已接受其条款的账号。",
    ),
    # --- files ---
    "file.damaged": (
        "This file cannot be read: it is damaged, or not what its name says. Save or download it again.",
        "无法读取此文件：文件已损坏或类型不符，请重新保存或下载。",
    ),
    "file.cut": (
        "This file is cut off before its index was written: record, copy or download it again.",
        "文件在写入索引前被截断：请重新录制、复制或下载。",
    ),
    "file.stopped": ("This file stopped on the way: send it again.", "文件上传中断，请重新发送。"),
    "file.empty": ("There is nothing in this file: choose another one.", "此文件是空的，请选择其他文件。"),
    "file.kind": ("{name} is no file that can be used here.", "此处不能使用 {name}。"),
    "file.suffix": (
        "Files of the kind {suffix} cannot be used here: choose {known}.",
        "此处不能使用 {suffix} 文件，可用：{known}。",
    ),
    "file.large": (
        "This file is larger than {most} MB: choose a smaller one.",
        "文件超过 {most} MB，请换小一些的。",
    ),
    "file.long": (
        "It lasts more than {seconds} seconds: cut it first.",
        "时长超过 {seconds} 秒，请先剪短。",
    ),
    "file.pixels": ("Its pictures are too large: make them smaller.", "画面尺寸过大，请缩小。"),
    "file.gone": (
        "This file is no longer here: choose it again.",
        "文件已不在这里，请重新选择。",
    ),
    "file.look": ("This file is nothing to look at.", "此文件不能显示。"),
    "file.sound": ("This file is nothing to listen to.", "此文件不能播放。"),
    "file.address": (
        "Nothing is fetched here: choose the file itself.",
        "此处不会下载链接，请直接选择文件。",
    ),
    "sound.none": ("There is no sound in this file: choose another one.", "此文件没有声音，请选择其他文件。"),
    "photo.missing": ("Choose a photo first.", "请先选择照片。"),
    "photo.unreadable": (
        "This picture cannot be read: it is damaged, or no picture. Save it as PNG or JPEG.",
        "无法读取此图片：请另存为 PNG 或 JPEG。",
    ),
    "photo.raw": ("This is a raw photo: save it as PNG or JPEG.", "这是 RAW 照片：请另存为 PNG 或 JPEG。"),
    "photo.small": (
        "This photo has only {width} × {height} pixels: choose a larger one.",
        "照片只有 {width} × {height} 像素，请换大一些的。",
    ),
    "photo.large": (
        "This photo has {width} × {height} pixels: make it smaller, {most} million at most.",
        "照片有 {width} × {height} 像素，过大；最多 {most} 百万像素。",
    ),
    "mask.aspect": (
        "The mask is {width} × {height}, another shape than the photo: paint it on the photo.",
        "遮罩为 {width} × {height}，与照片比例不同：请在照片上绘制。",
    ),
    "mask.photo": (
        "This is a photo and no mask: paint what may move on the photo.",
        "这是照片而不是遮罩：请在照片上涂出可移动的部分。",
    ),
    "mask.nothing": (
        "Nothing that is shown is painted: paint what may move.",
        "没有涂抹可见区域：请涂出可移动的部分。",
    ),
    "video.none": ("There is no video in this file: choose another one.", "文件中没有视频，请选择其他文件。"),
    "video.still": ("This is a still picture: choose a video.", "这是静态图片，请选择视频。"),
    "video.long": ("This video is too long: cut it first.", "视频太长，请先剪短。"),
    "video.frames": ("This video has too few frames to show a motion.", "视频帧数太少，看不出运动。"),
    "sound.short": (
        "This sound is too short: {least} seconds are the least.",
        "声音太短：至少 {least} 秒。",
    ),
    "tracks.unreadable": (
        "This track file cannot be read: write it again, or choose another one.",
        "无法读取此轨迹文件：请重新保存或选择其他文件。",
    ),
    "tracks.none": ("There are no visible tracks in this file.", "文件中没有可见的轨迹。"),
    "tracks.many": ("This file holds too many tracks: save fewer.", "文件中的轨迹过多，请减少。"),
    "tracks.fractions": (
        "These tracks are fractions of the picture: write them in pixels.",
        "这些轨迹是比例值：请改用像素。",
    ),
    "tracks.aspect": (
        "The drawing is {width} × {height}, another shape than the photo: draw over the photo.",
        "图形为 {width} × {height}，与照片比例不同：请在照片上绘制。",
    ),
    "landmarks.unreadable": (
        "This landmark file cannot be read: write it again, or choose another one.",
        "无法读取此关键点文件：请重新保存或选择其他文件。",
    ),
    "depth.flat": (
        "This depth picture is one grey all over: it should be bright near and dark far away.",
        "深度图只有一种灰度：应近处亮、远处暗。",
    ),
    "zip.damaged": ("This zip is damaged: save the scene again.", "zip 文件已损坏，请重新保存场景。"),
    "zip.file": ("{name} in this zip is too large.", "zip 中的 {name} 过大。"),
    "zip.files": ("This zip holds {count} files, too many for a scene.", "zip 中有 {count} 个文件，过多。"),
    "zip.scenes": (
        "This zip holds {count} scenes: it should hold one.",
        "zip 中有 {count} 个场景，应只有一个。",
    ),
    # --- the scene ---
    "scene.not": (
        "This is not a scene: open one that was saved here.",
        "这不是场景文件，请打开由本页保存的场景。",
    ),
    "scene.letters": (
        "The scene holds a character that is no letter: write the text again.",
        "场景含有无法识别的字符，请重新填写。",
    ),
    "text.none": ("This file is not text: save it as text.", "此文件不是文本，请另存为文本。"),
    "text.encoding": (
        "This text is not UTF-8 but, as it seems, {encoding}: save it as UTF-8.",
        "此文本不是 UTF-8，似乎是 {encoding}：请另存为 UTF-8。",
    ),
    "scene.absent": (
        "This scene is not here: it is another browser's, or older than a day.",
        "找不到此场景：它属于其他浏览器，或已超过一天。",
    ),
    "scene.file": (
        "The scene needs the file {name}: open the zip that has it inside.",
        "场景需要文件 {name}：请打开包含它的 zip。",
    ),
    "scene.name": ("A scene cannot be kept by this name.", "场景不能使用此名称。"),
    "scene.points": ("This scene has too many points to be kept.", "场景的点太多，无法保存。"),
    "scene.values": (
        "A value of the scene is not understood: {said}",
        "无法理解场景中 {where} 的值。",
    ),
    "scene.nothing": ("Nothing moves yet: draw something first.", "还没有任何运动：请先画一条线。"),
    "scene.controls": (
        "There are more than {most} things to move: join some.",
        "控制超过 {most} 个：请合并一些。",
    ),
    "scene.many_points": (
        "The lines have more than {most} points together: draw fewer.",
        "所有轨迹的点共超过 {most} 个：请减少。",
    ),
    "value.least": ("This has to be {bound} or more.", "此值至少为 {bound}。"),
    "value.above": ("This has to be more than {bound}.", "此值须大于 {bound}。"),
    "value.most": ("This may be {bound} at most.", "此值最多为 {bound}。"),
    "value.below": ("This has to be less than {bound}.", "此值须小于 {bound}。"),
    "value.between": ("This goes from {least} to {most}.", "此值为 {least} 到 {most}。"),
    "devices.first": ("Leave this empty: the devices below say it already.", "请留空：已在多设备中指定。"),
    "devices.offload": (
        "Several devices cannot offload: choose none.",
        "多设备时不能卸载：请选择 none。",
    ),
    "guidance.rows": ("Mixed guidance rows need 2 here.", "引导行为 mixed 时此处须为 2。"),
    "value.choice": ("Here stands one of {known}.", "此处可选：{known}。"),
    "seed.range": ("The seed has to be a whole number from 0.", "种子须为不小于 0 的整数。"),
    "steps.range": ("The steps go from {least} to {most}.", "步数为 {least} 到 {most}。"),
    "window.range": ("A window has {least} frames or more.", "窗口至少 {least} 帧。"),
    "stride.range": (
        "The stride goes from {least} to {most} with this window.",
        "此窗口的步幅为 {least} 到 {most}。",
    ),
    "guide.model": ("This model cannot be guided: turn the guide off.", "此模型不能引路：请关闭引路。"),
    "clip.long": (
        "{frames} frames are too many: {most} at most.",
        "{frames} 帧过多：最多 {most} 帧。",
    ),
    "clip.large": (
        "A clip may be at most {most} pixels long and high: make it smaller.",
        "视频长宽最多 {most} 像素，请缩小。",
    ),
    "clip.form": ("A clip cannot be downloaded in this form.", "视频不能以此格式下载。"),
    "point.outside": (
        "A point lies outside the photo: move it inside.",
        "有一个点在照片之外，请移到照片内。",
    ),
    "selection.points": (
        "A selection has at most {most} points: paint it instead.",
        "选择最多 {most} 个点：请改用画笔。",
    ),
    "track.points": (
        "This line has no point that can be shown: draw it again.",
        "此轨迹没有可显示的点：请重画。",
    ),
    "transform.moments": (
        "The moments of this turn are not in the order of time: take one away.",
        "关键时刻的顺序有误：请删除一个。",
    ),
    "transform.scale": ("A thing can be 0.01 to 100 times its size.", "物体可缩放 0.01 到 100 倍。"),
    "timing.beyond": (
        "It goes on to frame {frame}, and the last one is {last}: let it end earlier.",
        "它到第 {frame} 帧才结束，而最后一帧是 {last}：请提前结束。",
    ),
    "track.first": (
        "No line begins on what is shown: start one there.",
        "没有轨迹从可见画面开始，请从画面内开始画。",
    ),
    "track.region": (
        "No line begins inside what may move: begin one there, or choose another region.",
        "没有轨迹从可移动区域内开始：请从区域内开始，或换一个区域。",
    ),
    "transform.region": ("Click the thing that is to turn.", "请点击要变换的物体。"),
    "timing.start": (
        "It begins at frame {start}, and the last one is {last}: let it begin earlier.",
        "它从第 {start} 帧开始，而最后一帧是 {last}：请提前开始。",
    ),
    "timing.negative": ("It begins before the first frame, 0.", "它早于第 0 帧开始。"),
    "timing.end": (
        "It ends at frame {end}, before it begins at {start}: let it end later.",
        "它在第 {end} 帧结束，早于开始的第 {start} 帧：请推迟结束。",
    ),
    "guide.still": (
        "Hardly anything moves, so there is nothing to guide by: turn the guide off.",
        "几乎没有运动，无法引导：请关闭引导。",
    ),
    "adapter.missing": (
        "The {adapter} adapter is missing in this model: choose another renderer.",
        "此模型缺少 {adapter} 适配器：请选择其他渲染器。",
    ),
    # --- for other tools ---
    "export.none": ("Nothing was drawn that this tool could follow.", "没有此工具可用的轨迹。"),
    "export.tracks": (
        "Kling's brush takes lines alone: leave camera, videos and faces out.",
        "可灵笔刷只支持轨迹：请去掉镜头、视频和人脸。",
    ),
    "export.things": (
        "Kling's brush moves 1 to {most} things, and these are {count}.",
        "可灵笔刷可移动 1 到 {most} 个物体，现有 {count} 个。",
    ),
    "export.frames": ("This tool reads {frames} frames.", "此工具只读 {frames} 帧。"),
    # --- faces ---
    "face.none": (
        "No face was found: a larger or more frontal one helps.",
        "没有找到人脸，请换更大或更正面的。",
    ),
    "face.elsewhere": (
        "No face was found there: click on one that is marked.",
        "该处没有找到人脸：请点击已标出的人脸。",
    ),
    "face.small": (
        "The face is too small: use a picture in which it has {least} pixels or more.",
        "人脸太小：请用人脸至少 {least} 像素的图片。",
    ),
    "face.seldom": (
        "The video hardly shows the face: cut it to where it is seen.",
        "视频中很少看到人脸：请剪到能看到人脸的部分。",
    ),
    "face.which": (
        "The photo shows {count} faces: click one of them.",
        "照片中有 {count} 张脸：请点击其中一张。",
    ),
    "face.undriven": ("No face speaks or moves.", "没有人脸在说话或运动。"),
    "driver.long": (
        "What drives the face lasts {seconds} seconds, more than the {most} frames of a clip: cut it.",
        "驱动时长 {seconds} 秒，超过视频的 {most} 帧：请剪短。",
    ),
    "driver.face": (
        "This speech driver needs a face that was found, not one by hand: choose another driver.",
        "此语音驱动需要检测到的人脸，而不是手动标注：请选择其他驱动。",
    ),
}

PROBLEMS: dict[str, dict[str, str]] = {key: {"en": en, "zh": zh} for key, (en, zh) in _PAIRS.items()}
